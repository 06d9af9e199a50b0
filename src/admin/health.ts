import type { Context } from "hono";
import type { AdminSource } from "./source.ts";

/** `GET /livez`: the event loop turns. */
export function live(context: Context): Response {
  return context.json({ status: "live" });
}

/**
 * `GET /readyz`: clients are served. An alarm does not make a broker unready: it holds publishers
 * back, and taking it out of service would keep its consumers from making the room that ends it.
 */
export function ready(source: AdminSource): (context: Context) => Response {
  return (context) => {
    const reason = source.unready();
    if (reason !== null) return context.json({ status: "unready", reason }, 503);
    return context.json({ status: "ready", alarms: source.stats()?.alarms ?? [] });
  };
}

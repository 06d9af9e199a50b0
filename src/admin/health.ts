import { type Answer, json } from "./pages.ts";
import type { AdminSource } from "./source.ts";

/** `GET /livez`: the event loop turns. */
export function live(): Answer {
  return json({ status: "live" });
}

/**
 * `GET /readyz`: clients are served. An alarm does not make a broker unready: it holds publishers
 * back, and taking it out of service would keep its consumers from making the room that ends it.
 */
export function ready(source: AdminSource): Answer {
  const reason = source.unready();
  if (reason !== null) return json({ status: "unready", reason }, 503);
  return json({ status: "ready", alarms: source.stats()?.alarms ?? [] });
}

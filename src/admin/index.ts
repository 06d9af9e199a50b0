import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import type { Clock } from "../base/clock.ts";
import { live, ready } from "./health.ts";
import { Metrics } from "./metrics.ts";
import { overview } from "./overview.ts";
import type { AdminSource } from "./source.ts";

export type { AdminSource, ListenerOverview, Overview } from "./source.ts";

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  readonly source: AdminSource;
  readonly clock: Clock;
}

export interface Admin {
  readonly address: { readonly host: string; readonly port: number };
  /** To be called with the duration of each commit round. */
  observeCommit(seconds: number): void;
  close(): Promise<void>;
}

/** Serves status, health and metrics. @throws the system's error when it cannot listen, e.g. EADDRINUSE */
export async function openAdmin({ host, port, source, clock }: AdminOptions): Promise<Admin> {
  const metrics = new Metrics(source);
  const app = new Hono();
  app.get("/", overview(source, clock));
  app.get("/livez", live);
  app.get("/readyz", ready(source));
  app.get("/metrics", (context) => metrics.respond(context));
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    address: { host, port: (server.address() as { port: number }).port },
    observeCommit: (seconds) => metrics.observeCommit(seconds),
    close: () => {
      metrics.stop();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Scrapers keep connections open between their visits.
      server.closeAllConnections();
      return closed;
    },
  };
}

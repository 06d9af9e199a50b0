import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { CommitDurations } from "./commit-durations.ts";
import { live, ready } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { overview } from "./overview.ts";
import { type Page, servePages } from "./pages.ts";
import type { AdminSource } from "./source.ts";

export type { AdminSource, ListenerOverview, Overview } from "./source.ts";

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  readonly source: AdminSource;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Admin {
  readonly address: { readonly host: string; readonly port: number };
  /** To be called with the duration of each commit round. */
  observeCommit(seconds: number): void;
  close(): Promise<void>;
}

/** Serves status, health and metrics. @throws the system's error when it cannot listen, e.g. EADDRINUSE */
export async function openAdmin({ host, port, source, clock, logger }: AdminOptions): Promise<Admin> {
  const commits = new CommitDurations();
  // Loaded by the first scrape: a start does not wait for it, and whoever never scrapes keeps its memory.
  let metrics: Promise<Metrics> | undefined;
  const load = async () => new (await import("./metrics.ts")).Metrics(source, commits);
  const pages = new Map<string, Page>([
    ["/", overview(source, clock)],
    ["/livez", live],
    ["/readyz", () => ready(source)],
    [
      "/metrics",
      async () => {
        metrics ??= load();
        return (await metrics).page();
      },
    ],
  ]);
  const server = servePages(pages, (error) => logger.error({ err: error }, "a page failed"));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    address: { host, port: (server.address() as { port: number }).port },
    observeCommit: (seconds) => commits.observe(seconds),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Scrapers keep connections open between their visits.
      server.closeAllConnections();
      await closed;
      (await metrics)?.stop();
    },
  };
}

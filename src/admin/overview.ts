import type { Clock } from "../base/clock.ts";
import { json, type Page } from "./pages.ts";
import type { AdminSource } from "./source.ts";

/** `GET /`: what runs here, and where it listens. */
export function overview(source: AdminSource, clock: Clock): Page {
  const startedMs = clock.monotonic();
  return () =>
    json({
      ...source.overview(),
      uptimeSeconds: Math.floor((clock.monotonic() - startedMs) / 1000),
      node: process.versions.node,
      processId: process.pid,
    });
}

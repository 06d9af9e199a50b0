import { SystemClock } from "../base/clock.ts";
import { openFilesMax } from "../base/open-files.ts";
import { loadConfiguration } from "../config/sources.ts";
import { limitsOf } from "../config.ts";
import { withinOpenFiles } from "../limits.ts";
import { Server } from "../server.ts";
import { PRODUCT, VERSION } from "../version.ts";
import { banner, exposureWarnings, READY } from "./banner.ts";
import { openLogger } from "./logger.ts";

/** `polymq serve`: runs until it is told to stop. */
export async function serve(
  flags: Record<string, string>,
  environment: NodeJS.ProcessEnv,
  onServing: () => void,
): Promise<number> {
  const stopped = stopSignal();
  const { settings } = await loadConfiguration(flags, environment);
  const logger = openLogger(settings);
  const server = await Server.start({
    settings,
    limits: withinOpenFiles(limitsOf(settings), openFilesMax()),
    clock: new SystemClock(),
    logger,
  });
  const facts = { settings, listeners: server.listeners, dataDirectory: server.dataDirectory };
  if (settings.logFormat === "pretty") {
    process.stdout.write(`${banner(facts)}${READY}\n`);
  } else {
    // Whatever the log level: whoever starts the broker waits for this line.
    const always = logger.child({}, { level: "info" });
    for (const text of exposureWarnings(settings, server.listeners)) always.warn({}, text);
    const { listeners, dataDirectory } = facts;
    always.info({ product: PRODUCT, version: VERSION, dataDirectory, listeners }, READY);
  }
  onServing();
  const signal = await stopped;
  logger.info({ signal, graceMs: settings.shutdownGrace }, "stopping; a second signal stops at once");
  await server.close();
  logger.info({}, "stopped");
  return 0;
}

/** One wish to stop often comes twice, to this process and to its group (`timeout`, npm, a terminal). */
const SAME_WISH_MS = 300;

/** Resolves at the first signal; a later one ends the process where it stands, which the log survives. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstMs: number | null = null;
    const stop = (signal: NodeJS.Signals) => {
      const nowMs = performance.now();
      firstMs ??= nowMs;
      if (nowMs - firstMs > SAME_WISH_MS) process.exit(1);
      resolve(signal);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}

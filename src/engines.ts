import type { Clock } from "./base/clock.ts";
import type { Logger } from "./base/logger.ts";
import type { EngineScheme } from "./config/engine-url.ts";
import type { Settings } from "./config.ts";
import type { Engine } from "./engine/engine.ts";

export interface EngineContext {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly logger: Logger;
}

type OpenEngine = (context: EngineContext) => Promise<Engine>;

/** Between checkpoints when a directory for them is named and no interval. */
const CHECKPOINT_INTERVAL_MS = 1000;

/** Every engine: one line each. Loaded when used, so that a test in memory does not pay for files. */
const ENGINES: Readonly<Record<EngineScheme, OpenEngine>> = {
  file: async (context) =>
    (await import("./engine/file/file-engine.ts")).openFileEngine(fileOptions(context)),
  memory: async (context) =>
    (await import("./engine/memory/memory-engine.ts")).openMemoryEngine(memoryOptions(context)),
};

/** @throws LockedError, CorruptionError */
export function openEngine(context: EngineContext): Promise<Engine> {
  return ENGINES[context.settings.engine.scheme](context);
}

/** Where the engine keeps what it keeps; null when nothing outlives the process. */
export function dataDirectoryOf({ engine, dataDir, checkpointInterval }: Settings): string | null {
  if (engine.scheme === "file") return engine.path ?? dataDir;
  if (engine.checkpointDir !== null) return engine.checkpointDir;
  return (engine.checkpointIntervalMs ?? checkpointInterval) === null ? null : dataDir;
}

function fileOptions({ settings, clock, logger }: EngineContext) {
  return { directory: dataDirectoryOf(settings) as string, clock, durability: settings.durability, logger };
}

function memoryOptions({ settings, clock }: EngineContext) {
  const checkpointDir = dataDirectoryOf(settings);
  if (checkpointDir === null) return { clock };
  const given = settings.engine.checkpointIntervalMs ?? settings.checkpointInterval;
  return { checkpointDir, checkpointIntervalMs: given ?? CHECKPOINT_INTERVAL_MS, clock };
}

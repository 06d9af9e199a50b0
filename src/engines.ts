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

/** Every engine: one line each. Loaded when used, so that a test in memory does not pay for files. */
const ENGINES: Readonly<Record<EngineScheme, OpenEngine>> = {
  file: async (context) =>
    (await import("./engine/file/file-engine.ts")).openFileEngine(fileOptions(context)),
  memory: async (context) =>
    (await import("./engine/memory/memory-engine.ts")).openMemoryEngine(memoryOptions(context)),
};

/** @throws LockedError, CorruptionError, DataDirectoryError */
export function openEngine(context: EngineContext): Promise<Engine> {
  return ENGINES[context.settings.engine.scheme](context);
}

/** Where the engine keeps what it keeps; null when nothing outlives the process. */
export function dataDirectoryOf({ engine, dataDir, checkpointInterval }: Settings): string | null {
  if (engine.scheme === "file") return engine.path ?? dataDir;
  if (engine.checkpointDir !== null) return engine.checkpointDir;
  return (engine.checkpointIntervalMs ?? checkpointInterval) === null ? null : dataDir;
}

function fileOptions(context: EngineContext) {
  const { settings, clock, logger } = context;
  const directory = dataDirectoryOf(settings) as string;
  return { directory, clock, durability: settings.durability, logger, ...checkpoints(settings) };
}

function memoryOptions({ settings, clock }: EngineContext) {
  const checkpointDir = dataDirectoryOf(settings);
  return { clock, ...(checkpointDir !== null && { checkpointDir, ...checkpoints(settings) }) };
}

/** How often, where that was said; the engines have a default. */
function checkpoints({ engine, checkpointInterval }: Settings): { checkpointIntervalMs?: number } {
  const checkpointIntervalMs = engine.checkpointIntervalMs ?? checkpointInterval;
  return checkpointIntervalMs === null ? {} : { checkpointIntervalMs };
}

import { BrokerError } from "../../base/errors.ts";
import type { Durability } from "../../engine/engine.ts";
import type { StreamConfig } from "./types.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a stream is that says nothing else. */
export const STREAM_DEFAULTS: Omit<StreamConfig, "durability"> = {
  cleanup: "delete",
  retentionMs: 7 * DAY_MS,
  retentionBytes: -1,
  retentionCount: -1,
  segmentBytes: 1 << 30,
  segmentMs: 7 * DAY_MS,
  batchBytesMax: (1 << 20) + 12,
  timestamps: "create",
  timestampBeforeMaxMs: -1,
  timestampAfterMaxMs: HOUR_MS,
  tombstoneRetentionMs: DAY_MS,
  compactionLagMinMs: 0,
  compactionLagMaxMs: -1,
  dirtyRatioMin: 0.5,
};

const LEVELS: readonly Durability[] = ["memory", "os", "fsync"];

type Check = (value: never) => string | null;

/** -1: no bound. */
const bound: Check = (value: number) =>
  Number.isSafeInteger(value) && value >= -1 ? null : "must be a whole number, or -1 for no bound";
const count =
  (min: number, max: number): Check =>
  (value: number) =>
    Number.isSafeInteger(value) && value >= min && value <= max
      ? null
      : `must be a whole number from ${min} to ${max}`;
const oneOf =
  (...words: readonly string[]): Check =>
  (value: string) =>
    words.includes(value) ? null : `must be one of ${words.join(", ")}`;

const CHECKS: Readonly<Record<keyof StreamConfig, Check>> = {
  cleanup: oneOf("delete", "compact", "compact+delete"),
  retentionMs: bound,
  retentionBytes: bound,
  retentionCount: bound,
  segmentBytes: count(1, 2 ** 40),
  segmentMs: bound,
  batchBytesMax: count(0, 2 ** 30),
  timestamps: oneOf("create", "append"),
  timestampBeforeMaxMs: bound,
  timestampAfterMaxMs: bound,
  tombstoneRetentionMs: count(0, Number.MAX_SAFE_INTEGER),
  compactionLagMinMs: count(0, Number.MAX_SAFE_INTEGER),
  compactionLagMaxMs: bound,
  dirtyRatioMin: (value: number) => (value >= 0 && value <= 1 ? null : "must be a number from 0 to 1"),
  durability: oneOf(...LEVELS),
};

/** @throws BrokerError argument-invalid */
export function checkOverrides(
  name: string,
  namespace: string,
  overrides: Partial<StreamConfig>,
  highest: Durability,
): void {
  for (const [option, value] of Object.entries(overrides)) {
    let reason = CHECKS[option as keyof StreamConfig]?.(value as never) ?? null;
    if (!(option in CHECKS)) reason = "is no setting of a stream";
    if (
      option === "durability" &&
      reason === null &&
      LEVELS.indexOf(value as Durability) > LEVELS.indexOf(highest)
    ) {
      reason = `this broker gives '${highest}' at most`;
    }
    if (reason !== null) throw invalid(name, namespace, option, reason);
  }
}

export function invalid(name: string, namespace: string, argument: string, reason: string): BrokerError {
  const detail = { kind: "queue", name, namespace, argument, reason };
  return new BrokerError("argument-invalid", `argument '${argument}' of stream '${name}' ${reason}`, detail);
}

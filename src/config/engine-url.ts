import { suggestion } from "./nearest.ts";
import { duration, type ValueType } from "./value-types.ts";

export const ENGINE_SCHEMES = ["file", "memory"] as const;
export type EngineScheme = (typeof ENGINE_SCHEMES)[number];

/** Where messages are kept: `file:`, `file:/var/lib/polymq`, `memory:?checkpoint-dir=D&checkpoint-interval=1s`. */
export interface EngineUrl {
  readonly scheme: EngineScheme;
  /** Directory of a file engine when the URL names one; else the data directory is meant. */
  readonly path: string | null;
  readonly checkpointDir: string | null;
  readonly checkpointIntervalMs: number | null;
}

export const CHECKPOINT_INTERVAL = duration(10, 24 * 3_600_000);

const PARAMETERS: Readonly<Record<EngineScheme, readonly string[]>> = {
  file: [],
  memory: ["checkpoint-dir", "checkpoint-interval"],
};

function parse(text: string): EngineUrl {
  const match = /^([a-z]+):(?:\/\/(?=\/))?([^?]*)(?:\?(.*))?$/i.exec(text);
  const scheme = ENGINE_SCHEMES.find((name) => name === match?.[1]?.toLowerCase());
  if (match === null || scheme === undefined) {
    const schemes = ENGINE_SCHEMES.map((name) => `${name}:`);
    const typed = match?.[1] === undefined ? text : `${match[1]}:`;
    throw new RangeError(`'${text}' is none of ${schemes.join(", ")}${suggestion(typed, schemes)}`);
  }
  const path = match[2] === "" ? null : decodeURIComponent(match[2]!);
  if (scheme === "memory" && path !== null) {
    throw new RangeError("memory: takes no path; say memory:?checkpoint-dir=DIR to keep checkpoints");
  }
  const query = new URLSearchParams(match[3] ?? "");
  const known = PARAMETERS[scheme];
  for (const name of query.keys()) {
    if (!known.includes(name)) {
      throw new RangeError(`${scheme}: has no parameter '${name}'${suggestion(name, known)}`);
    }
  }
  const interval = query.get("checkpoint-interval");
  return {
    scheme,
    path,
    checkpointDir: query.get("checkpoint-dir"),
    checkpointIntervalMs: interval === null ? null : CHECKPOINT_INTERVAL.parse(interval),
  };
}

function format(url: EngineUrl): string {
  const query = new URLSearchParams();
  if (url.checkpointDir !== null) query.set("checkpoint-dir", url.checkpointDir);
  if (url.checkpointIntervalMs !== null) {
    query.set("checkpoint-interval", CHECKPOINT_INTERVAL.format(url.checkpointIntervalMs));
  }
  return `${url.scheme}:${url.path ?? ""}${query.size > 0 ? `?${query}`.replaceAll("%2F", "/") : ""}`;
}

export const ENGINE_URL: ValueType<EngineUrl> = {
  placeholder: "url",
  syntax: "`file:`, `file:/path`, `memory:`, `memory:?checkpoint-dir=DIR`",
  parse,
  format,
};

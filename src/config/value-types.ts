import { parseDurationMs } from "../base/clock.ts";
import { suggestion } from "./nearest.ts";

/** How the text of an option becomes a value, and back. */
export interface ValueType<T> {
  /** Placeholder in the help: `--amqp-port <port>`. */
  readonly placeholder: string;
  /** What may be written, for the docs and for refusals. */
  readonly syntax: string;
  /** @throws RangeError saying what is wrong with `text` */
  parse(text: string): T;
  format(value: T): string;
}

const KiB = 1024;
const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: KiB,
  mib: KiB ** 2,
  gib: KiB ** 3,
  tib: KiB ** 4,
};

/** Reads "256MiB", "1.5GB" or a plain number of bytes. @throws RangeError otherwise */
export function parseBytes(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = match === null ? undefined : BYTE_UNITS[match[2]!.toLowerCase()];
  if (match === null || unit === undefined) {
    throw new RangeError(`'${text}' is not a size (try 1048576, 64KiB, 256MiB, 2GiB)`);
  }
  return Math.floor(Number(match[1]) * unit);
}

export function formatBytes(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"]) {
    const size = BYTE_UNITS[unit.toLowerCase()]!;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}`;
}

export function formatDuration(ms: number): string {
  for (const [unit, size] of [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
  ] as const) {
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

export const TEXT: ValueType<string> = {
  placeholder: "text",
  syntax: "text",
  parse: (text) => {
    if (text === "") throw new RangeError("must not be empty");
    return text;
  },
  format: (value) => value,
};

/** Empty = none. */
export const TEXT_OR_NONE: ValueType<string | null> = {
  placeholder: "text",
  syntax: "text",
  parse: (text) => (text === "" ? null : text),
  format: (value) => value ?? "",
};

/** A file or directory; empty = none. */
export const PATH_OR_NONE: ValueType<string | null> = {
  placeholder: "path",
  syntax: "path",
  parse: (text) => (text === "" ? null : text),
  format: (value) => value ?? "",
};

export const BOOLEAN: ValueType<boolean> = {
  placeholder: "yes|no",
  syntax: "`yes` or `no`",
  parse: (text) => {
    if (/^(true|yes|on|1)$/i.test(text)) return true;
    if (/^(false|no|off|0)$/i.test(text)) return false;
    throw new RangeError(`'${text}' is neither yes nor no`);
  },
  format: (value) => (value ? "yes" : "no"),
};

export function choice<const T extends string>(...choices: readonly T[]): ValueType<T> {
  return {
    placeholder: choices.join("|"),
    syntax: choices.map((name) => `\`${name}\``).join(", "),
    parse: (text) => {
      const found = choices.find((name) => name.toLowerCase() === text.toLowerCase());
      if (found !== undefined) return found;
      throw new RangeError(`'${text}' is none of ${choices.join(", ")}${suggestion(text, choices)}`);
    },
    format: (value) => value,
  };
}

/** Some of the choices, with commas between them; empty = none of them. */
export function listOf<const T extends string>(...choices: readonly T[]): ValueType<readonly T[]> {
  const one = choice(...choices);
  return {
    placeholder: "list",
    syntax: `any of ${one.syntax}`,
    parse: (text) => {
      const names = text.split(",").map((name) => name.trim());
      const found = names.filter((name) => name !== "").map((name) => one.parse(name));
      return [...new Set(found)];
    },
    format: (value) => value.join(","),
  };
}

export function integer(min: number, max: number, placeholder = "n"): ValueType<number> {
  return {
    placeholder,
    syntax: `${min} to ${max}`,
    parse: (text) => {
      const value = Number(text);
      if (/^\d+$/.test(text) && value >= min && value <= max) return value;
      throw new RangeError(`'${text}' is not a whole number from ${min} to ${max}`);
    },
    format: (value) => `${value}`,
  };
}

/** Adds the word `off` to another type; it stands for null. */
export function orOff<T>(type: ValueType<T>): ValueType<T | null> {
  return {
    placeholder: type.placeholder,
    syntax: `${type.syntax}, or \`off\``,
    parse: (text) => {
      if (/^(off|false|no)$/i.test(text)) return null;
      try {
        return type.parse(text);
      } catch (error) {
        throw new RangeError(`${(error as Error).message}, or 'off'`);
      }
    },
    format: (value) => (value === null ? "off" : type.format(value)),
  };
}

export const PORT: ValueType<number> = {
  ...integer(0, 65_535, "port"),
  syntax: "port; 0 = any free one",
};

export const BYTES: ValueType<number> = {
  placeholder: "size",
  syntax: "size: `64KiB`, `256MiB`, bytes",
  parse: parseBytes,
  format: formatBytes,
};

export interface Address {
  readonly host: string;
  /** Null: not said. */
  readonly port: number | null;
}

/** "broker.example.com", "192.0.2.7:9092", "[2001:db8::7]:9092"; empty = none. */
export const ADDRESS_OR_NONE: ValueType<Address | null> = {
  placeholder: "host[:port]",
  syntax: "`host` or `host:port`",
  parse: (text) => {
    if (text === "") return null;
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+))(?::(\d{1,5}))?$/.exec(text);
    const port = match?.[3] === undefined ? null : Number(match[3]);
    if (match === null || (port !== null && (port < 1 || port > 65_535)))
      throw new RangeError(`'${text}' is not a host or host:port`);
    return { host: (match[1] ?? match[2]) as string, port };
  },
  format: (value) => {
    if (value === null) return "";
    const host = value.host.includes(":") ? `[${value.host}]` : value.host;
    return value.port === null ? host : `${host}:${value.port}`;
  },
};

/** A duration in ms, within bounds. */
export function duration(minMs: number, maxMs: number): ValueType<number> {
  return {
    placeholder: "time",
    syntax: "time: `250ms`, `30s`, `5m`, `1h`",
    parse: (text) => {
      const ms = parseDurationMs(text);
      if (ms >= minMs && ms <= maxMs) return ms;
      throw new RangeError(`'${text}' is not between ${formatDuration(minMs)} and ${formatDuration(maxMs)}`);
    },
    format: formatDuration,
  };
}

// Values of configurations: texts on the wire, checked and brought into one form here.
import { KafkaError } from "../errors.ts";

/** `configType` of DescribeConfigs. */
export const TYPES = { BOOLEAN: 1, STRING: 2, INT: 3, SHORT: 4, LONG: 5, DOUBLE: 6, LIST: 7 } as const;

/** `configSource` of DescribeConfigs: who set a value. */
export const SOURCES = {
  UNKNOWN: 0,
  TOPIC: 1,
  DYNAMIC_BROKER: 2,
  DYNAMIC_DEFAULT_BROKER: 3,
  STATIC_BROKER: 4,
  DEFAULT: 5,
  GROUP: 8,
} as const;

/** `resourceType` of the APIs for configurations. */
export const RESOURCES = { TOPIC: 2, BROKER: 4, BROKER_LOGGER: 8, CLIENT_METRICS: 16, GROUP: 32 } as const;

/** How a kind of value is read from its text and written again. */
export interface ValueKind<T> {
  readonly type: number;
  /** @throws RangeError saying what it should be */
  read(text: string): T;
  show(value: T): string;
}

/** What the protocol's tools write for "no bound". */
export const LONG_MAX = "9223372036854775807";
const INT_MAX = 2_147_483_647;

export function int(min = 0, max = INT_MAX): ValueKind<number> {
  return { type: TYPES.INT, read: (text) => wholeNumber(text, min, max), show: String };
}

/** Counted with -1 for no bound, which is written as `unbounded`; so is what is larger than can be counted. */
export function long(min: number, unbounded = "-1"): ValueKind<number> {
  return {
    type: TYPES.LONG,
    read: (text) => {
      const value = wholeNumber(text, min, Number(LONG_MAX));
      return value > Number.MAX_SAFE_INTEGER ? -1 : value;
    },
    show: (value) => (value === -1 ? unbounded : String(value)),
  };
}

/** Likewise, where there must be a bound: the largest one is as good as none. */
export function boundedLong(min: number): ValueKind<number> {
  return {
    type: TYPES.LONG,
    read: (text) => Math.min(wholeNumber(text, min, Number(LONG_MAX)), Number.MAX_SAFE_INTEGER),
    show: (value) => (value === Number.MAX_SAFE_INTEGER ? LONG_MAX : String(value)),
  };
}

export function double(min: number, max: number): ValueKind<number> {
  return {
    type: TYPES.DOUBLE,
    read: (text) => {
      const value = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
      if (!(value >= min && value <= max)) throw new RangeError(`must be a number from ${min} to ${max}`);
      return value;
    },
    show: (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value)),
  };
}

export const boolean: ValueKind<boolean> = {
  type: TYPES.BOOLEAN,
  read: (text) => oneOf("true", "false").read(text.toLowerCase()) === "true",
  show: String,
};

export function oneOf<T extends string>(...allowed: T[]): ValueKind<T> {
  return {
    type: TYPES.STRING,
    read: (text) => {
      const found = allowed.find((value) => value === text);
      if (found === undefined) throw new RangeError(`must be ${allowed.join(" or ")}`);
      return found;
    },
    show: (value) => value,
  };
}

/** Anything, as it is given. */
export const text: ValueKind<string> = { type: TYPES.STRING, read: (given) => given, show: (value) => value };

export const list: ValueKind<string> = {
  type: TYPES.LIST,
  read: (given) => elementsOf(given).join(","),
  show: (value) => value,
};

export function elementsOf(given: string): string[] {
  const elements = given.split(",").map((element) => element.trim());
  return [...new Set(elements.filter((element) => element !== ""))];
}

function wholeNumber(given: string, min: number, max: number): number {
  const value = /^[+-]?\d+$/.test(given) ? Number(given) : Number.NaN;
  if (value >= min && value <= max) return value;
  const bounds = max >= INT_MAX ? `at least ${min}` : `from ${min} to ${max}`;
  throw new RangeError(`must be a whole number, ${bounds}`);
}

/** @throws KafkaError INVALID_CONFIG in the words that tools look for */
export function readValue<T>(kind: ValueKind<T>, name: string, given: string): T {
  try {
    return kind.read(given.trim());
  } catch (error) {
    const reason = (error as Error).message;
    throw new KafkaError("INVALID_CONFIG", `Invalid value ${given} for configuration ${name}: ${reason}`);
  }
}

/** Name and text of one value, and who set it. */
export interface ConfigValue {
  readonly name: string;
  readonly value: string | null;
  readonly source: number;
}

/** A configuration as DescribeConfigs shows it. */
export interface ShownConfig extends ConfigValue {
  readonly type: number;
  readonly documentation: string;
  readonly readOnly: boolean;
  /** The same setting wherever it can be set, what counts first. */
  readonly synonyms: readonly ConfigValue[];
}

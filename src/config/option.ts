import type { ValueType } from "./value-types.ts";

/**
 * One setting of the broker. This declaration is all there is: the flag (`--amqp-port`), the
 * environment variable (`POLYMQ_AMQP_PORT`), the key in the YAML file, the help, what `polymq config`
 * prints and the table in docs/operations.md are made of it.
 */
export interface Option<T> {
  /** Path of its key in the YAML file. */
  readonly file: string;
  readonly type: ValueType<T>;
  /** Text, as a user would write it; may depend on the options declared above it and on the machine. */
  readonly default: string | ((known: Known) => string);
  /** Says what a computed default will be. */
  readonly defaultText?: string;
  readonly help: string;
  /** Not to be printed. */
  readonly secret?: true;
  /** A port for clients. */
  readonly listens?: "plain" | "tls";
}

/** What a computed default may look at. */
export interface Known {
  text(name: string): string;
  readonly machineMemoryBytes: number;
}

export function option<T>(declaration: Option<T>): Option<T> {
  return declaration;
}

import { BrokerError } from "../../base/errors.ts";
import { stringOf, type TypedValue, tableToJson } from "../../message/values.ts";
import type { ExchangeDeclaration, RoutedMessage } from "../types.ts";

/** 32 bits, the same in every process: FNV-1a over UTF-16 units, then mixed. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** MurmurHash3's finaliser: FNV alone leaves the high bits of short keys alike. */
export function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const PROPERTIES = ["message_id", "correlation_id", "timestamp"];

/** The text that decides where a message goes: its routing key, or as the exchange's arguments say. */
export class HashSource {
  private readonly header: string | undefined;
  private readonly property: string | undefined;

  constructor(declaration: ExchangeDeclaration, namespace: string) {
    const read = (argument: string): string | undefined => {
      const typed = declaration.arguments.get(argument);
      if (typed === undefined || typed.type === "string") return stringOf(typed);
      throw refusal(declaration, namespace, argument, "must be a string");
    };
    this.header = read("hash-header");
    this.property = read("hash-property");
    if (this.header !== undefined && this.property !== undefined) {
      throw refusal(declaration, namespace, "hash-property", "and hash-header are mutually exclusive");
    }
    if (this.property !== undefined && !PROPERTIES.includes(this.property)) {
      const reason = `names the unsupported property '${this.property}'`;
      throw refusal(declaration, namespace, "hash-property", reason);
    }
  }

  get dynamic(): boolean {
    return this.header !== undefined || this.property !== undefined;
  }

  textOf(key: string, message: RoutedMessage | null): string {
    if (this.header !== undefined) return asText(message?.headers()?.get(this.header));
    if (this.property !== undefined) return message?.property(this.property) ?? "";
    return key;
  }
}

function asText(typed: TypedValue | undefined): string {
  if (typed === undefined || typed.value === null) return "";
  if (typeof typed.value !== "object") return String(typed.value);
  return JSON.stringify(tableToJson(new Map([["", typed]])));
}

function refusal(declaration: ExchangeDeclaration, namespace: string, argument: string, reason: string) {
  const { name } = declaration;
  const detail = { kind: "exchange", name, namespace, argument, reason };
  return new BrokerError(
    "argument-invalid",
    `argument '${argument}' of exchange '${name}' ${reason}`,
    detail,
  );
}

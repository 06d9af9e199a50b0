import { copyBytes } from "../base/copy-bytes.ts";
import type { TypedValue } from "./values.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The bytes as text, or undefined when they are not UTF-8. */
export function utf8Text(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * A value for protocols whose headers are text: numbers and booleans in words, timestamps in seconds,
 * bytes when they are UTF-8. Undefined for what a line of text cannot say (tables, arrays, nothing).
 */
export function valueText({ type, value }: TypedValue): string | undefined {
  switch (type) {
    case "table":
    case "array":
    case "void":
      return undefined;
    case "binary":
      return utf8Text(value as Uint8Array);
    case "decimal": {
      const [scale, unscaled] = value as [number, number];
      return (unscaled / 10 ** scale).toFixed(scale);
    }
    default:
      return `${value}`;
  }
}

/** Bytes for protocols that tell text from bytes: text when it is UTF-8. */
export function bytesValue(bytes: Uint8Array): TypedValue {
  const text = utf8Text(bytes);
  return text === undefined ? { type: "binary", value: copyBytes(bytes) } : { type: "string", value: text };
}

/** An identifier as text, or undefined when it is bytes that are none. */
export function identifierText(id: string | Uint8Array | undefined): string | undefined {
  return id === undefined || typeof id === "string" ? id : utf8Text(id);
}

import type { MetaStore } from "../../engine/engine.ts";
import { tableFromJson, tableToJson } from "../../message/values.ts";
import type { QueueOptions } from "../types.ts";
import type { StreamFacts } from "./stream.ts";
import type { StreamConfig } from "./types.ts";

/**
 * Streams in the metadata store, '/' and '%' in names percent-encoded, JSON values:
 *
 *     streams/format                 {version}
 *     streams/stream/<ns>/<name>     `StreamFacts` with namespace
 *     streams/defaults               what was changed of the defaults
 */
const VERSION = 1;
const FORMAT_KEY = "streams/format";
const DEFAULTS_KEY = "streams/defaults";
const STREAM_PREFIX = "streams/stream/";

interface StoredStream extends StreamFacts {
  readonly namespace: string;
}

interface StreamJson extends Omit<StoredStream, "declared"> {
  readonly declared?: { readonly options: QueueOptions; readonly arguments: ReturnType<typeof tableToJson> };
}

export class StreamStore {
  private readonly meta: MetaStore;

  /** @throws Error for a version that this program does not know */
  constructor(meta: MetaStore) {
    this.meta = meta;
    const format = meta.get(FORMAT_KEY);
    const version = format === undefined ? VERSION : (parse(format) as { version: number }).version;
    if (version !== VERSION) {
      throw new Error(`streams are stored in version ${version}; this program reads version ${VERSION}`);
    }
  }

  all(): StoredStream[] {
    return Array.from(this.meta.entries(STREAM_PREFIX), ([, value]) => {
      const { declared, ...json } = parse(value) as StreamJson;
      if (declared === undefined) return { ...json, declared: null };
      return { ...json, declared: { ...declared, arguments: tableFromJson(declared.arguments) } };
    });
  }

  defaults(): Partial<StreamConfig> {
    const stored = this.meta.get(DEFAULTS_KEY);
    return stored === undefined ? {} : (parse(stored) as Partial<StreamConfig>);
  }

  putDefaults(changes: Partial<StreamConfig>): void {
    this.writeFormat();
    this.write(DEFAULTS_KEY, changes);
  }

  put(namespace: string, { declared, ...facts }: StreamFacts): void {
    this.writeFormat();
    const json: StreamJson =
      declared === null
        ? { namespace, ...facts }
        : { namespace, ...facts, declared: { ...declared, arguments: tableToJson(declared.arguments) } };
    this.write(keyOf(namespace, facts.name), json);
  }

  delete(namespace: string, name: string): void {
    this.meta.delete(keyOf(namespace, name));
  }

  private writeFormat(): void {
    if (this.meta.get(FORMAT_KEY) === undefined) this.write(FORMAT_KEY, { version: VERSION });
  }

  private write(key: string, json: object): void {
    this.meta.put(key, new TextEncoder().encode(JSON.stringify(json)));
  }
}

function parse(value: Uint8Array): unknown {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString());
}

function keyOf(namespace: string, name: string): string {
  const escaped = (text: string) => text.replace(/[%/]/g, encodeURIComponent);
  return `${STREAM_PREFIX}${escaped(namespace)}/${escaped(name)}`;
}

import type { MetaStore } from "../../engine/engine.ts";
import type { StreamRecord } from "./stream.ts";
import type { StreamConfig } from "./types.ts";

/**
 * Streams in the metadata store, '/' and '%' in names percent-encoded, JSON values:
 *
 *     streams/format                 {version}
 *     streams/stream/<ns>/<name>     `StreamRecord` with namespace
 *     streams/defaults               what was changed of the defaults
 */
const VERSION = 1;
const FORMAT_KEY = "streams/format";
const DEFAULTS_KEY = "streams/defaults";
const STREAM_PREFIX = "streams/stream/";

interface StoredStream extends StreamRecord {
  readonly namespace: string;
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
    return Array.from(this.meta.entries(STREAM_PREFIX), ([, value]) => parse(value) as StoredStream);
  }

  defaults(): Partial<StreamConfig> {
    const stored = this.meta.get(DEFAULTS_KEY);
    return stored === undefined ? {} : (parse(stored) as Partial<StreamConfig>);
  }

  putDefaults(changes: Partial<StreamConfig>): void {
    this.writeFormat();
    this.write(DEFAULTS_KEY, changes);
  }

  put(namespace: string, record: StreamRecord): void {
    this.writeFormat();
    this.write(keyOf(namespace, record.name), { namespace, ...record });
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

import type { MetaStore } from "../../engine/engine.ts";
import type { StreamRecord } from "./stream.ts";

/**
 * Streams in the metadata store, '/' and '%' in names percent-encoded, JSON values:
 *
 *     streams/format                 {version}
 *     streams/stream/<ns>/<name>     `StreamRecord` with namespace
 */
const VERSION = 1;
const FORMAT_KEY = "streams/format";
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

  put(namespace: string, record: StreamRecord): void {
    if (this.meta.get(FORMAT_KEY) === undefined) this.write(FORMAT_KEY, { version: VERSION });
    this.write(keyOf(namespace, record.name), { namespace, ...record });
  }

  delete(namespace: string, name: string): void {
    this.meta.delete(keyOf(namespace, name));
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

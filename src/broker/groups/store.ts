import type { MetaStore } from "../../engine/engine.ts";
import type { AssignedSnapshot } from "./assigned-group.ts";
import type { ClassicSnapshot } from "./classic-member.ts";
import type { Offset, OffsetRecords } from "./offsets.ts";

/**
 * Groups in the metadata store. Keys, with '/' and '%' in names percent-encoded:
 *
 *     groups/format                                                  JSON {version}
 *     groups/group/<ns>/<group>                                      JSON {kind, ...}: who is in it
 *     groups/offset/<ns>/<group>/<stream>/<partition>                offset
 *     groups/undecided/<ns>/<group>/<stream>/<partition>/<producer>  offset
 *
 * An offset is written thousands of times a second, so it is small. Little endian:
 *
 *     u8 version (1) | 3 x 0 | epoch i32 | offset f64 | committed at f64 | expires at f64 | stream id, 16 bytes
 *     | metadata, UTF-8
 */
const VERSION = 1;
const FORMAT_KEY = "groups/format";
const OFFSET_BYTES_MIN = 48;

export interface StoredGroup {
  readonly namespace: string;
  readonly name: string;
  readonly record: GroupRecord;
}

export type GroupRecord =
  | { readonly kind: "classic"; readonly classic: ClassicSnapshot }
  | { readonly kind: "assigned" | "share"; readonly assigned: AssignedSnapshot };

export interface StoredOffset {
  readonly namespace: string;
  readonly group: string;
  readonly stream: string;
  readonly partition: number;
  readonly offset: Offset;
  /** Of an undecided one; else -1. */
  readonly producerId: number;
}

export class GroupStore {
  private readonly meta: MetaStore;

  /** @throws Error for a version that this program does not know */
  constructor(meta: MetaStore) {
    this.meta = meta;
    const value = meta.get(FORMAT_KEY);
    const version = value === undefined ? VERSION : (fromJson(value) as { version: number }).version;
    if (version !== VERSION) {
      throw new Error(`groups are stored in version ${version}; this program reads version ${VERSION}`);
    }
    if (value === undefined) meta.put(FORMAT_KEY, toJson({ version: VERSION }));
  }

  putGroup(namespace: string, name: string, record: GroupRecord): void {
    this.meta.put(keyOf("group", namespace, name), toJson(record));
  }

  deleteGroup(namespace: string, name: string): void {
    this.meta.delete(keyOf("group", namespace, name));
  }

  groups(): StoredGroup[] {
    return Array.from(this.meta.entries("groups/group/"), ([key, value]) => {
      const [namespace, name] = namesOf(key);
      return { namespace, name, record: fromJson(value) as GroupRecord };
    });
  }

  offsets(): StoredOffset[] {
    return [...this.read("offset"), ...this.read("undecided")];
  }

  /** Runs `done` when everything so far is durable. */
  flush(done: () => void): void {
    this.meta.flush(done);
  }

  records(namespace: string): OffsetRecords {
    const { meta } = this;
    return {
      put: (group, stream, partition, offset) =>
        meta.put(keyOf("offset", namespace, group, stream, `${partition}`), encodeOffset(offset)),
      delete: (group, stream, partition) =>
        meta.delete(keyOf("offset", namespace, group, stream, `${partition}`)),
      putUndecided: (producerId, group, stream, partition, offset) =>
        meta.put(
          keyOf("undecided", namespace, group, stream, `${partition}`, `${producerId}`),
          encodeOffset(offset),
        ),
      deleteUndecided: (producerId, group, stream, partition) =>
        meta.delete(keyOf("undecided", namespace, group, stream, `${partition}`, `${producerId}`)),
    };
  }

  private *read(room: "offset" | "undecided"): Iterable<StoredOffset> {
    for (const [key, value] of this.meta.entries(`groups/${room}/`)) {
      const [namespace, group, stream, partition, producer] = namesOf(key);
      yield {
        namespace,
        group,
        stream,
        partition: Number(partition),
        offset: decodeOffset(value),
        producerId: room === "undecided" ? Number(producer) : -1,
      };
    }
  }
}

export function encodeOffset(offset: Offset): Uint8Array {
  const metadataBytes = Buffer.byteLength(offset.metadata);
  const bytes = Buffer.alloc(OFFSET_BYTES_MIN + metadataBytes);
  bytes[0] = VERSION;
  bytes.writeInt32LE(offset.epoch, 4);
  bytes.writeDoubleLE(offset.offset, 8);
  bytes.writeDoubleLE(offset.committedAtMs, 16);
  bytes.writeDoubleLE(offset.expiresAtMs, 24);
  bytes.write(offset.streamId, 32, 16, "hex");
  if (metadataBytes > 0) bytes.write(offset.metadata, OFFSET_BYTES_MIN, "utf8");
  return bytes;
}

/** @throws Error for a version that this program does not know */
export function decodeOffset(value: Uint8Array): Offset {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (bytes[0] !== VERSION) throw new Error(`a group's offset is stored in unknown version ${bytes[0]}`);
  return {
    epoch: bytes.readInt32LE(4),
    offset: bytes.readDoubleLE(8),
    committedAtMs: bytes.readDoubleLE(16),
    expiresAtMs: bytes.readDoubleLE(24),
    streamId: bytes.toString("hex", 32, OFFSET_BYTES_MIN),
    metadata: bytes.toString("utf8", OFFSET_BYTES_MIN),
  };
}

/** Bytes are kept as base64 behind a mark that no other text begins with. */
const BYTES_MARK = "\u0000b64:";

function toJson(value: object): Uint8Array {
  const text = JSON.stringify(value, function (this: Record<string, unknown>, key, part: unknown) {
    // A Buffer would have turned itself into an array of numbers before it gets here.
    const raw = this[key];
    return raw instanceof Uint8Array ? BYTES_MARK + Buffer.from(raw).toString("base64") : part;
  });
  // Not a Buffer: a small one is a window on memory that it shares with others.
  return new TextEncoder().encode(text);
}

function fromJson(value: Uint8Array): unknown {
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString();
  return JSON.parse(text, (_key, part: unknown) =>
    typeof part === "string" && part.startsWith(BYTES_MARK)
      ? new Uint8Array(Buffer.from(part.slice(BYTES_MARK.length), "base64"))
      : part,
  );
}

function keyOf(room: string, ...names: string[]): string {
  let key = `groups/${room}`;
  for (const name of names) key += `/${/[%/]/.test(name) ? name.replace(/[%/]/g, encodeURIComponent) : name}`;
  return key;
}

function namesOf(key: string): string[] {
  return key.split("/").slice(2).map(decodeURIComponent);
}

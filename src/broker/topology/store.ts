import { createHash } from "node:crypto";
import type { MetaStore } from "../../engine/engine.ts";
import { type Table, tableFromJson, tableToJson } from "../../message/values.ts";
import type { ExchangeDeclaration, QueueDeclaration, QueueOptions } from "../types.ts";
import type { Binding } from "./graph.ts";

/**
 * Durable topology in the metadata store. Keys, with '/' and '%' in names percent-encoded, and JSON
 * values, version 1:
 *
 *     topology/format                         {version}
 *     topology/queue-ids                      {next}: no id from here on was ever given out
 *     topology/namespace/<ns>                 {name}
 *     topology/exchange/<ns>/<name>           {name, type, autoDelete, internal, arguments}
 *     topology/queue/<ns>/<name>              {id, name, autoDelete, options, arguments}
 *     topology/binding/<ns>/<source>/<queue|exchange>/<destination>/<key>/<digest of arguments>
 *                                             {source, kind, destination, key, arguments}
 *
 * Predeclared exchanges are not stored; a binding is when both of its ends are durable.
 */
const VERSION = 1;
const FORMAT_KEY = "topology/format";
const QUEUE_IDS_KEY = "topology/queue-ids";

/** Ids are reserved in blocks, so that declaring a transient queue writes nothing. */
const QUEUE_ID_BLOCK = 4096;

type TableJson = ReturnType<typeof tableToJson>;

interface ExchangeJson {
  readonly name: string;
  readonly type: string;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: TableJson;
}

interface QueueJson {
  readonly id: number;
  readonly name: string;
  readonly autoDelete: boolean;
  readonly options: QueueOptions;
  readonly arguments: TableJson;
}

interface BindingJson {
  readonly source: string;
  readonly kind: "queue" | "exchange";
  readonly destination: string;
  readonly key: string;
  readonly arguments: TableJson;
}

export interface StoredBinding {
  readonly source: string;
  readonly kind: "queue" | "exchange";
  readonly destination: string;
  readonly key: string;
  readonly args: Table;
}

export class TopologyStore {
  private readonly meta: MetaStore;
  private nextId = 1;
  private reservedUpTo = 1;

  constructor(meta: MetaStore) {
    this.meta = meta;
  }

  /** True when there is nothing yet. @throws Error for a version that this program does not know */
  begin(): boolean {
    const format = this.read<{ version: number }>(FORMAT_KEY);
    if (format !== undefined && format.version !== VERSION) {
      throw new Error(
        `topology is stored in version ${format.version}; this program reads version ${VERSION}`,
      );
    }
    this.nextId = this.read<{ next: number }>(QUEUE_IDS_KEY)?.next ?? 1;
    this.reservedUpTo = this.nextId;
    if (format === undefined) this.write(FORMAT_KEY, { version: VERSION });
    return format === undefined;
  }

  /**
   * The next block is reserved when half of this one is left: records in a log may name an id before
   * the store has flushed, and after a crash must not meet another queue by that id.
   */
  takeQueueId(): number {
    if (this.reservedUpTo - this.nextId <= QUEUE_ID_BLOCK / 2) {
      this.reservedUpTo = this.nextId + QUEUE_ID_BLOCK;
      this.write(QUEUE_IDS_KEY, { next: this.reservedUpTo });
    }
    return this.nextId++;
  }

  putNamespace(name: string): void {
    this.write(keyOf("namespace", name), { name });
  }

  /** Takes everything in it along. */
  deleteNamespace(name: string): void {
    for (const room of ["exchange", "queue", "binding"]) {
      const prefix = `${keyOf(room, name)}/`;
      for (const key of [...this.meta.entries(prefix)].map(([key]) => key)) this.meta.delete(key);
    }
    this.meta.delete(keyOf("namespace", name));
  }

  putExchange(namespace: string, declaration: ExchangeDeclaration): void {
    const { name, type, autoDelete, internal } = declaration;
    const json: ExchangeJson = {
      name,
      type,
      autoDelete,
      internal,
      arguments: tableToJson(declaration.arguments),
    };
    this.write(keyOf("exchange", namespace, name), json);
  }

  deleteExchange(namespace: string, name: string): void {
    this.meta.delete(keyOf("exchange", namespace, name));
  }

  putQueue(namespace: string, id: number, declaration: QueueDeclaration): void {
    const { name, autoDelete, options } = declaration;
    const json: QueueJson = { id, name, autoDelete, options, arguments: tableToJson(declaration.arguments) };
    this.write(keyOf("queue", namespace, name), json);
  }

  deleteQueue(namespace: string, name: string): void {
    this.meta.delete(keyOf("queue", namespace, name));
  }

  putBinding(namespace: string, binding: Binding): void {
    const { source, to, key, args } = binding;
    const json: BindingJson = {
      source: source.name,
      kind: to.kind,
      destination: to.name,
      key,
      arguments: tableToJson(args),
    };
    this.write(bindingKey(namespace, { ...json, args }), json);
  }

  deleteBinding(namespace: string, { source, to, key, args }: Binding): void {
    this.deleteStoredBinding(namespace, {
      source: source.name,
      kind: to.kind,
      destination: to.name,
      key,
      args,
    });
  }

  deleteStoredBinding(namespace: string, binding: StoredBinding): void {
    this.meta.delete(bindingKey(namespace, binding));
  }

  namespaces(): string[] {
    return this.list<{ name: string }>("topology/namespace/").map(({ name }) => name);
  }

  exchanges(namespace: string): ExchangeDeclaration[] {
    return this.list<ExchangeJson>(`${keyOf("exchange", namespace)}/`).map((json) => ({
      ...json,
      durable: true,
      arguments: tableFromJson(json.arguments),
    }));
  }

  queues(namespace: string): { id: number; declaration: QueueDeclaration }[] {
    return this.list<QueueJson>(`${keyOf("queue", namespace)}/`).map(({ id, ...json }) => ({
      id,
      declaration: {
        ...json,
        durable: true,
        exclusive: false,
        arguments: tableFromJson(json.arguments),
      },
    }));
  }

  bindings(namespace: string): StoredBinding[] {
    return this.list<BindingJson>(`${keyOf("binding", namespace)}/`).map(({ arguments: args, ...json }) => ({
      ...json,
      args: tableFromJson(args),
    }));
  }

  private list<T>(prefix: string): T[] {
    return Array.from(this.meta.entries(prefix), ([, value]) => parse<T>(value));
  }

  private read<T>(key: string): T | undefined {
    const value = this.meta.get(key);
    return value === undefined ? undefined : parse<T>(value);
  }

  private write(key: string, json: object): void {
    // Not a Buffer: a small one is a window on memory that it shares with others.
    this.meta.put(key, new TextEncoder().encode(JSON.stringify(json)));
  }
}

function parse<T>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString()) as T;
}

function keyOf(room: string, ...names: string[]): string {
  return `topology/${room}/${names.map(escapeName).join("/")}`;
}

function escapeName(name: string): string {
  return name.replace(/[%/]/g, encodeURIComponent);
}

function bindingKey(namespace: string, { source, kind, destination, key, args }: StoredBinding): string {
  const digest =
    args.size === 0 ? "" : createHash("sha256").update(canonicalArguments(args)).digest("base64url");
  return keyOf("binding", namespace, source, kind, destination, key, digest);
}

/** The same text for the same arguments in whatever order; part of a binding's identity. */
export function canonicalArguments(args: Table): string {
  if (args.size === 0) return "";
  return JSON.stringify(tableToJson(new Map([...args].sort(([a], [b]) => (a < b ? -1 : 1)))));
}

import { BrokerError } from "../../base/errors.ts";
import type { Grants } from "../access/grants.ts";
import { CLUSTER_RESOURCE, type Operation } from "../access/types.ts";
import { streamExists } from "../topology/refusals.ts";
import type { Stream } from "./stream.ts";
import type { Streams } from "./streams.ts";
import type { StreamConfig, StreamControl, StreamDeclaration } from "./types.ts";

export interface SessionStreamsParts {
  readonly streams: Streams;
  readonly grants: Grants;
  readonly namespace: string;
  /** Where the user comes from; null: not known. */
  readonly address: string | null;
  /** @throws BrokerError stream-exists, name-reserved, namespace-not-found: the name is taken by a queue, or nobody's to take */
  readonly checkName: (name: string) => void;
  /** A stream was made, and is a queue as well. */
  readonly made: (stream: Stream) => void;
  /** A stream, and the queue that it is, are to go. */
  readonly remove: (name: string) => void;
}

/** One user's access to the streams of one namespace. */
export class SessionStreams implements StreamControl {
  private readonly parts: SessionStreamsParts;

  constructor(parts: SessionStreamsParts) {
    this.parts = parts;
  }

  get defaults(): StreamConfig {
    return this.parts.streams.defaults;
  }

  get initialDefaults(): StreamConfig {
    return this.parts.streams.initialDefaults;
  }

  get changedDefaults(): Partial<StreamConfig> {
    return this.parts.streams.changedDefaults;
  }

  alterDefaults(changes: Partial<StreamConfig>): void {
    const { grants, address, streams } = this.parts;
    if (!grants.permits("alter-configs", "cluster", CLUSTER_RESOURCE, address)) {
      throw grants.refusal("alter-configs", "cluster", CLUSTER_RESOURCE);
    }
    streams.alterDefaults(changes);
  }

  create(declaration: StreamDeclaration): Stream {
    this.tryCreate(declaration);
    const { streams, namespace } = this.parts;
    const stream = streams.create(namespace, declaration);
    this.parts.made(stream);
    return stream;
  }

  tryCreate(declaration: StreamDeclaration): void {
    const { streams, namespace, checkName } = this.parts;
    const { name } = declaration;
    this.check("create", name);
    if (streams.find(namespace, name) !== null) throw streamExists(name, namespace);
    checkName(name);
    streams.check(namespace, declaration);
  }

  tryAlter(name: string, overrides: Partial<StreamConfig>): void {
    this.check("alter-configs", name);
    const { partitions } = this.require(name);
    this.parts.streams.check(this.parts.namespace, { name, partitions: partitions.length, overrides });
  }

  delete(name: string): void {
    this.check("delete", name);
    this.require(name);
    this.parts.remove(name);
  }

  find(name: string): Stream | null {
    return this.parts.streams.find(this.parts.namespace, name);
  }

  findById(id: string): Stream | null {
    const stream = this.parts.streams.findById(id);
    return stream?.namespace === this.parts.namespace ? stream : null;
  }

  all(): Iterable<Stream> {
    return this.parts.streams.in(this.parts.namespace);
  }

  grow(name: string, partitions: number): void {
    this.check("alter", name);
    this.parts.streams.grow(this.require(name), partitions);
  }

  alter(name: string, overrides: Partial<StreamConfig>, attributes: Readonly<Record<string, string>>): void {
    this.check("alter-configs", name);
    this.parts.streams.alter(this.require(name), overrides, attributes);
  }

  allows(access: "configure" | "write" | "read", name: string): boolean {
    return this.parts.grants.allowsQueue(access, name);
  }

  private check(operation: Operation, name: string): void {
    const { grants, address } = this.parts;
    if (!grants.permits(operation, "stream", name, address)) throw grants.refusal(operation, "stream", name);
  }

  private require(name: string): Stream {
    const stream = this.find(name);
    if (stream !== null) return stream;
    const { namespace } = this.parts;
    const detail = { kind: "queue", name, namespace };
    throw new BrokerError("stream-not-found", `no stream '${name}' in namespace '${namespace}'`, detail);
  }
}

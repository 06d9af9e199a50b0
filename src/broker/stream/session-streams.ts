import { BrokerError } from "../../base/errors.ts";
import type { Grants } from "../access/grants.ts";
import { streamExists } from "../topology/refusals.ts";
import type { Stream } from "./stream.ts";
import type { Streams } from "./streams.ts";
import type { StreamConfig, StreamControl, StreamDeclaration } from "./types.ts";

export interface SessionStreamsParts {
  readonly streams: Streams;
  readonly grants: Grants;
  readonly namespace: string;
  /** @throws BrokerError stream-exists, name-reserved, namespace-not-found: the name is taken by a queue, or nobody's to take */
  readonly checkName: (name: string) => void;
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

  create(declaration: StreamDeclaration): Stream {
    const { streams, grants, namespace, checkName } = this.parts;
    const { name } = declaration;
    grants.check("configure", "queue", name);
    if (streams.find(namespace, name) !== null) throw streamExists(name, namespace);
    checkName(name);
    return streams.create(namespace, declaration);
  }

  delete(name: string): void {
    this.parts.grants.check("configure", "queue", name);
    this.parts.streams.delete(this.require(name));
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
    this.parts.grants.check("configure", "queue", name);
    this.parts.streams.grow(this.require(name), partitions);
  }

  alter(name: string, overrides: Partial<StreamConfig>, attributes: Readonly<Record<string, string>>): void {
    this.parts.grants.check("configure", "queue", name);
    this.parts.streams.alter(this.require(name), overrides, attributes);
  }

  allows(access: "configure" | "write" | "read", name: string): boolean {
    return this.parts.grants.allows(access, name);
  }

  private require(name: string): Stream {
    const stream = this.find(name);
    if (stream !== null) return stream;
    const { namespace } = this.parts;
    const detail = { kind: "queue", name, namespace };
    throw new BrokerError("stream-not-found", `no stream '${name}' in namespace '${namespace}'`, detail);
  }
}

import { compile } from "./compile.ts";
import type { Reader } from "./reader.ts";
import type { Draft, Message, Shape } from "./schema.ts";
import type { Writer } from "./writer.ts";

interface ApiTable<Q extends Shape, A extends Shape> {
  readonly key: number;
  readonly name: string;
  /** First and last version that the tables below describe. */
  readonly versions: readonly [first: number, last: number];
  /** First version with compact lengths and tagged fields; absent: none. */
  readonly flexible?: number;
  readonly request: Q;
  readonly response: A;
}

interface Body<T> {
  read(reader: Reader): T;
  write(writer: Writer, value: Draft<T>): void;
}

/** One API of the protocol: its number, its versions and how its messages are read and written. */
export class Api<Q extends Shape = Shape, A extends Shape = Shape> {
  readonly key: number;
  readonly name: string;
  readonly firstVersion: number;
  readonly lastVersion: number;
  readonly firstFlexible: number;
  readonly requestShape: Q;
  readonly responseShape: A;
  private readonly requests: (Body<Message<Q>> | undefined)[] = [];
  private readonly responses: (Body<Message<A>> | undefined)[] = [];

  constructor(table: ApiTable<Q, A>) {
    this.key = table.key;
    this.name = table.name;
    [this.firstVersion, this.lastVersion] = table.versions;
    this.firstFlexible = table.flexible ?? Number.POSITIVE_INFINITY;
    this.requestShape = table.request;
    this.responseShape = table.response;
  }

  isFlexible(version: number): boolean {
    return version >= this.firstFlexible;
  }

  /** Compiled when it is first asked for. */
  request(version: number): Body<Message<Q>> {
    this.requests[version] ??= this.compile<Q>(this.requestShape, version);
    return this.requests[version] as Body<Message<Q>>;
  }

  response(version: number): Body<Message<A>> {
    this.responses[version] ??= this.compile<A>(this.responseShape, version);
    return this.responses[version] as Body<Message<A>>;
  }

  private compile<S extends Shape>(shape: S, version: number): Body<Message<S>> {
    if (version < this.firstVersion || version > this.lastVersion)
      throw new RangeError(`${this.name} has no version ${version}`);
    return compile(shape, version, this.isFlexible(version)) as Body<Message<S>>;
  }
}

export function defineApi<Q extends Shape, A extends Shape>(table: ApiTable<Q, A>): Api<Q, A> {
  return new Api(table);
}

export type Request<T> = T extends Api<infer Q, Shape> ? Message<Q> : never;
export type Response<T> = T extends Api<Shape, infer A> ? Draft<Message<A>> : never;

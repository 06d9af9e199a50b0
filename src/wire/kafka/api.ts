// The seam between the connection and what answers. To add an API:
//
// 1. its table in schemas/ (names, types, versions), with a line in schemas/index.ts;
// 2. a file in api/ that exports `defineHandler({ api, versions, handle, refuse })`;
// 3. a line in api/index.ts. ApiVersions and docs/protocols/kafka.md follow from it.
//
// Requests of one connection are handled in the order in which they came, each as soon as it is there;
// answers leave in the same order, whenever each is ready.
import type { Principal, Rights, Session } from "../../broker/index.ts";
import type { ListenerFacts } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import type { Api, Request, Response } from "./codec/api.ts";
import type { Shape } from "./codec/schema.ts";
import type { Refusal } from "./errors.ts";
import type { KafkaSettings } from "./settings.ts";

/** `handle` will call `call.answer` itself, from a callback. */
export const LATER = Symbol("the answer comes later");
/** There is none, and none is expected (produce with acks=0). */
export const NO_ANSWER = Symbol("no answer");

/** Where the bytes of an answer go. */
export interface ByteTarget {
  copy(source: Uint8Array, offset: number, length: number): void;
}

/** An answer's body that is not encoded from its table, for bytes that are copied from where they lie. */
export interface RawAnswer {
  readonly rawBytes: number;
  /** Called once, before `answer` returns. Copies exactly `rawBytes`. */
  copyTo(target: ByteTarget): void;
}

export type Answer<T> = Response<T> | RawAnswer;
export type Outcome<T> = Answer<T> | Promise<Answer<T>> | typeof LATER | typeof NO_ANSWER;

export interface ApiHandler<T extends Api> {
  readonly api: T;
  /** What is served of the versions in the table; absent: all. */
  readonly versions?: readonly [first: number, last: number];
  /** Allowed before the client has logged in. */
  readonly beforeLogin?: boolean;
  /**
   * Record batches in `request` are ranges of the read buffer: valid until it returns, not after an `await`.
   * Everything else in it may be kept.
   */
  handle(request: Request<T>, call: Call<T>): Outcome<T>;
  /** The answer where `handle` threw or rejected; without it, or where it throws, the connection is closed. */
  refuse?(refusal: Refusal, request: Request<T>, version: number): Response<T>;
}

/** One request and its place in the order of answers. */
/** Work that makes a large answer. */
export interface DueWork {
  /** `late`: it had to wait for its turn. */
  due(late: boolean): void;
}

export interface Call<T = Api> {
  readonly version: number;
  readonly clientId: string | null;
  readonly peer: Peer;
  readonly node: KafkaNode;
  /** For how many ms the client has to pause for the broker's time that this took so far: raw answers say so themselves. */
  charge(): number;
  /** What one answer may have now; 0: nothing that can wait. */
  readonly allowanceBytes: number;
  /**
   * Starts `work` when the answer can go out: those before it have, and the client has read what there was. So a client
   * holds no more memory than for one large answer, however many it asks for and does not read.
   */
  whenDue(work: DueWork): void;
  /** For LATER: once. Nothing happens if the connection has gone meanwhile. */
  answer(answer: Answer<T>): void;
  /** For LATER: answers as if `handle` had thrown this. */
  fail(error: unknown): void;
}

/** What all connections share. */
export interface KafkaNode {
  readonly context: ProtocolContext<KafkaSettings>;
  readonly settings: KafkaSettings;
  readonly served: readonly ServedVersions[];
  /** What `make` makes, which is there once for each node: made when it is first asked for. */
  part<T>(make: (node: KafkaNode) => T): T;
}

/** An API that is served, in these versions. */
export interface ServedVersions {
  readonly api: Api;
  readonly first: number;
  readonly last: number;
}

/** One client connection, as handlers see it. */
export interface Peer {
  readonly node: KafkaNode;
  /** "127.0.0.1:40312 -> 127.0.0.1:9092" */
  readonly name: string;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly localPort: number;
  readonly loopback: boolean;
  readonly listener: ListenerFacts;
  readonly tls: { readonly peerName: string | null; readonly version: string } | null;
  /** @throws KafkaError when nobody has logged in; only handlers marked `beforeLogin` need to think of it */
  readonly session: Session;
  /** What this user may do, coming from where he comes: rules and permissions. @throws KafkaError likewise */
  readonly rights: Rights;
  readonly principal: Principal | null;
  /** As told by ApiVersions, or empty. */
  software: { readonly name: string; readonly version: string };
  /** From now on requests are this user's. @throws BrokerError namespace-refused */
  login(principal: Principal): void;
  /** Requests wait until the returned function is called: while a password is checked, or a quota is exceeded. */
  hold(): () => void;
  /** The next frames have no header and go here, until it is set back to null (SaslHandshake version 0). */
  bareFrames: BareFrames | null;
  /**
   * Runs once, when the connection has gone or is about to: what only waits for something to happen can be
   * answered with what there is. Returns how to forget about it.
   */
  onClosed(callback: () => void): () => void;
  /** Sends what is answered, then hangs up. */
  close(): void;
}

/**
 * Takes frames without a header, and answers with such, each behind its size. The bytes are valid during the
 * call only.
 */
export interface BareFrames {
  frame(bytes: Uint8Array, start: number, end: number, send: (frame: Uint8Array) => void): void;
}

export function defineHandler<Q extends Shape, A extends Shape>(
  handler: ApiHandler<Api<Q, A>>,
): ApiHandler<Api<Q, A>> {
  return handler;
}

// Fetch sessions (KIP-227): a client with many partitions tells them once, and then only what changes; so
// does the broker.
import { randomInt } from "node:crypto";
import type { Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { KafkaError } from "../errors.ts";
import type { fetch } from "../schemas/fetch.ts";
import { FetchTarget } from "./target.ts";

type FetchRequest = Request<typeof fetch>;

/** Instead of a session's epoch: no session, or a new one. */
const NO_SESSION = -1;
const NEW_SESSION = 0;
/** As in Kafka. Who gets none fetches without. */
const SESSIONS_MAX = 1000;
/** A session that was used since is not given up for a new one. */
const KEPT_MS = 120_000;
const EPOCH_MAX = 2 ** 31 - 1;

/** What one client fetches, from fetch to fetch. */
export class FetchSession {
  readonly id: number;
  readonly user: string;
  readonly byId: boolean;
  epoch = 1;
  usedMs: number;
  /** In the order in which they are read: who got something goes to the end. */
  readonly targets = new Map<string, FetchTarget>();

  constructor(id: number, user: string, byId: boolean, nowMs: number) {
    this.id = id;
    this.user = user;
    this.byId = byId;
    this.usedMs = nowMs;
  }
}

export interface FetchScope {
  readonly session: FetchSession | null;
  /** Targets that did not change need not be mentioned. */
  readonly incremental: boolean;
  readonly targets: readonly FetchTarget[];
}

export class FetchSessions {
  private readonly sessions = new Map<number, FetchSession>();

  /** What the request is about. @throws KafkaError FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR */
  enter(request: FetchRequest, version: number, peer: Peer): FetchScope {
    const { sessionId, sessionEpoch } = request;
    const byId = version >= 13;
    if (version < 7 || sessionEpoch === NO_SESSION || sessionEpoch === NEW_SESSION) {
      this.close(sessionId, peer);
      const targets = targetsOf(request);
      const wanted = version >= 7 && sessionEpoch === NEW_SESSION && targets.length > 0;
      const session = wanted ? this.open(peer, byId) : null;
      if (session !== null) for (const target of targets) session.targets.set(keyOf(target), target);
      return { session, incremental: false, targets };
    }
    const session = this.sessions.get(sessionId);
    if (session === undefined || session.user !== peer.session.user)
      throw new KafkaError("FETCH_SESSION_ID_NOT_FOUND");
    if (session.epoch !== sessionEpoch) throw new KafkaError("INVALID_FETCH_SESSION_EPOCH");
    if (session.byId !== byId) throw new KafkaError("FETCH_SESSION_TOPIC_ID_ERROR");
    session.epoch = sessionEpoch === EPOCH_MAX ? 1 : sessionEpoch + 1;
    session.usedMs = nowMs(peer);
    // The least recently used comes first.
    this.sessions.delete(sessionId);
    this.sessions.set(sessionId, session);
    update(session, request);
    return { session, incremental: true, targets: [...session.targets.values()] };
  }

  private open(peer: Peer, byId: boolean): FetchSession | null {
    const now = nowMs(peer);
    if (this.sessions.size >= SESSIONS_MAX) {
      const [oldest] = this.sessions.values();
      if (oldest === undefined || now - oldest.usedMs < KEPT_MS) return null;
      this.sessions.delete(oldest.id);
    }
    let id = 0;
    while (id === 0 || this.sessions.has(id)) id = randomInt(1, 2 ** 31);
    const session = new FetchSession(id, peer.session.user, byId, now);
    this.sessions.set(id, session);
    return session;
  }

  private close(id: number, peer: Peer): void {
    if (this.sessions.get(id)?.user === peer.session.user) this.sessions.delete(id);
  }
}

function nowMs(peer: Peer): number {
  return peer.node.context.clock.monotonic();
}

function keyOf({ topic, topicId, index }: { topic: string; topicId: string; index: number }): string {
  return `${topicId}/${index}/${topic}`;
}

function targetsOf({ topics }: FetchRequest): FetchTarget[] {
  return topics.flatMap(({ topic, topicId, partitions }) =>
    partitions.map((asked) => {
      const target = new FetchTarget(topic, topicId, asked.partition);
      ask(target, asked);
      return target;
    }),
  );
}

type Asked = FetchRequest["topics"][number]["partitions"][number];

function ask(target: FetchTarget, { fetchOffset, partitionMaxBytes, currentLeaderEpoch }: Asked): void {
  target.offset = fetchOffset;
  target.bytesMax = partitionMaxBytes;
  target.leaderEpoch = currentLeaderEpoch;
}

function update({ targets }: FetchSession, { topics, forgottenTopicsData }: FetchRequest): void {
  for (const { topic, topicId, partitions } of topics) {
    for (const asked of partitions) {
      const key = keyOf({ topic, topicId, index: asked.partition });
      const target = targets.get(key) ?? new FetchTarget(topic, topicId, asked.partition);
      ask(target, asked);
      targets.set(key, target);
    }
  }
  for (const { topic, topicId, partitions } of forgottenTopicsData) {
    for (const index of partitions) targets.delete(keyOf({ topic, topicId, index }));
  }
}

/** Those of the targets that got records go behind the others: nobody starves for a limit of bytes. */
export function rotate(session: FetchSession, targets: readonly FetchTarget[]): void {
  for (const target of targets) {
    if (target.recordBytes === 0) continue;
    const key = keyOf(target);
    // Forgotten meanwhile, by a request behind this one?
    if (session.targets.delete(key)) session.targets.set(key, target);
  }
}

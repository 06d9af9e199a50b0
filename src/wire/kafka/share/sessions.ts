// Share sessions (KIP-932): a member tells once which partitions it reads, and then only what changes. What
// it has leased goes back when its session ends, which is when its connection does, at the latest.
import type { Peer } from "../api.ts";
import { KafkaError } from "../errors.ts";

export const NEW_SESSION = 0;
export const LAST_REQUEST = -1;
const SESSIONS_MAX = 2000;
const EPOCH_MAX = 2 ** 31 - 1;

export interface SharePartition {
  readonly topicId: string;
  readonly index: number;
}

export class ShareSession {
  readonly group: string;
  readonly member: string;
  epoch = 1;
  /** In the order in which they are read: who got something goes to the end. */
  readonly partitions = new Map<string, SharePartition>();
  private readonly peer: Peer;

  constructor(group: string, member: string, peer: Peer) {
    this.group = group;
    this.member = member;
    this.peer = peer;
  }

  add(topicId: string, index: number): void {
    const key = `${topicId}/${index}`;
    if (!this.partitions.has(key)) this.partitions.set(key, { topicId, index });
  }

  remove(topicId: string, index: number): void {
    this.partitions.delete(`${topicId}/${index}`);
  }

  /** Others come first next time. */
  served({ topicId, index }: SharePartition): void {
    this.remove(topicId, index);
    this.add(topicId, index);
  }

  releaseLeases(): void {
    this.peer.session.shares.release(this.group, this.member);
  }
}

export class ShareSessions {
  private readonly sessions = new Map<string, ShareSession>();
  private readonly forgetting = new Map<ShareSession, () => void>();

  /** @throws KafkaError INVALID_REQUEST, SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH, SHARE_SESSION_LIMIT_REACHED */
  enter(
    group: string | null,
    member: string | null,
    epoch: number,
    mayOpen: boolean,
    peer: Peer,
  ): ShareSession {
    if (group === null || group === "" || member === null || member === "") {
      throw new KafkaError("INVALID_REQUEST", "GroupId and MemberId must be given.");
    }
    const key = JSON.stringify([group, member]);
    const known = this.sessions.get(key);
    if (epoch === NEW_SESSION) {
      if (!mayOpen) throw new KafkaError("INVALID_SHARE_SESSION_EPOCH");
      if (known !== undefined) this.close(known);
      return this.open(key, new ShareSession(group, member, peer), peer);
    }
    if (known === undefined) throw new KafkaError("SHARE_SESSION_NOT_FOUND");
    if (epoch === LAST_REQUEST) return known;
    if (epoch !== known.epoch) throw new KafkaError("INVALID_SHARE_SESSION_EPOCH");
    known.epoch = epoch === EPOCH_MAX ? 1 : epoch + 1;
    return known;
  }

  /** It has ended, and its member has begun no other one. */
  isOver({ group, member }: ShareSession): boolean {
    return !this.sessions.has(JSON.stringify([group, member]));
  }

  /** What the member has leased goes back. */
  close(session: ShareSession): void {
    const key = JSON.stringify([session.group, session.member]);
    if (this.sessions.get(key) !== session) return;
    this.sessions.delete(key);
    this.forgetting.get(session)?.();
    this.forgetting.delete(session);
    session.releaseLeases();
  }

  private open(key: string, session: ShareSession, peer: Peer): ShareSession {
    if (this.sessions.size >= SESSIONS_MAX) throw new KafkaError("SHARE_SESSION_LIMIT_REACHED");
    this.sessions.set(key, session);
    const forget = peer.onClosed(() => this.close(session));
    this.forgetting.set(session, forget);
    return session;
  }
}

export const shareSessions = (): ShareSessions => new ShareSessions();

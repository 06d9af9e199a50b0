// What holds producers back: each connection for what it has appended that is not durable yet, all of them
// while the broker is short of disk or memory. Held means not read from: nothing is refused.
import type { KafkaNode, Peer } from "./api.ts";

/** What one connection has appended. */
export class Backlog {
  private readonly peer: Peer;
  private readonly bytesMax: number;
  private pendingBytes = 0;
  private release: (() => void) | null = null;

  constructor(peer: Peer) {
    this.peer = peer;
    this.bytesMax = peer.node.context.limits.publishPendingBytesMax;
  }

  add(bytes: number): void {
    this.pendingBytes += bytes;
    if (this.pendingBytes > this.bytesMax) this.release ??= this.peer.hold();
  }

  remove(bytes: number): void {
    this.pendingBytes -= bytes;
    const { release } = this;
    if (release === null || this.pendingBytes > this.bytesMax / 2) return;
    // What was held up comes now, and may have to be held again.
    this.release = null;
    release();
  }
}

const backlogs = new WeakMap<Peer, Backlog>();

export function backlogOf(peer: Peer): Backlog {
  let backlog = backlogs.get(peer);
  if (backlog === undefined) {
    backlog = new Backlog(peer);
    backlogs.set(peer, backlog);
  }
  return backlog;
}

/** Lets those go that were held for an alarm when it is over. */
class AlarmGate {
  private readonly held = new Map<Peer, () => void>();

  constructor(node: KafkaNode) {
    node.context.broker.addAlarmListener({ alarm: (reason) => this.alarm(reason) });
  }

  hold(peer: Peer): void {
    if (this.held.has(peer)) return;
    this.held.set(peer, peer.hold());
    peer.onClosed(() => this.held.delete(peer));
  }

  private alarm(reason: string | null): void {
    if (reason !== null) return;
    const releases = [...this.held.values()];
    this.held.clear();
    for (const release of releases) release();
  }
}

const makeGate = (node: KafkaNode): AlarmGate => new AlarmGate(node);

/** Who has produced while there is an alarm is not read from until it is over. */
export function holdForAlarm(peer: Peer): void {
  if (peer.node.context.broker.alarm !== null) peer.node.part(makeGate).hold(peer);
}

import type { Session } from "../../broker/index.ts";
import { sharedQueue } from "./names.ts";
import type { MqttSession } from "./session.ts";
import type { Filter } from "./topic.ts";

const NOTEBOOK = "mqtt.shares";

/**
 * Groups that share a subscription (4.8.2): each is a queue, which lives as long as some session, connected or
 * not, is a member.
 */
export class Shares {
  private readonly own: Session;
  private readonly members = new Map<string, Set<MqttSession>>();

  constructor(own: Session) {
    this.own = own;
  }

  /** Returns true for the first member of a new group. */
  join(filter: Filter, session: MqttSession): boolean {
    const name = sharedQueue(filter);
    const members = this.members.get(name);
    if (members !== undefined) {
      members.add(session);
      return false;
    }
    this.members.set(name, new Set([session]));
    // Noted before the queue is made, so that a crash in between leaves nothing that nobody knows of.
    this.own.notebook(NOTEBOOK).set(name, "");
    return true;
  }

  leave(filter: Filter, session: MqttSession): void {
    const name = sharedQueue(filter);
    const members = this.members.get(name);
    if (members?.delete(session) !== true || members.size > 0) return;
    this.members.delete(name);
    this.drop(name);
  }

  /** All sessions that there are have joined: groups without a member lost theirs in a crash. */
  restored(): void {
    for (const [name] of [...this.own.notebook(NOTEBOOK).entries()])
      if (!this.members.has(name)) this.drop(name);
  }

  private drop(name: string): void {
    this.own.queueDelete(name, false, false);
    this.own.notebook(NOTEBOOK).delete(name);
  }
}

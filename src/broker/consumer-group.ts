import type { Consumer } from "./consumer.ts";

/** The consumers of a queue and whose turn it is: round robin among the ready ones of the highest priority. */
export class ConsumerGroup {
  /** Highest priority first, then in order of arrival. */
  private list: Consumer[] = [];
  private cursor = 0;
  private readonly singleActive: boolean;
  private active: Consumer | null = null;

  constructor(singleActive: boolean) {
    this.singleActive = singleActive;
  }

  get count(): number {
    return this.list.length;
  }

  private get exclusive(): boolean {
    return this.list.length === 1 && (this.list[0] as Consumer).exclusive;
  }

  /** One active consumer of several and one that wants no other do not go together (RabbitMQ refuses as well). */
  admits(exclusive: boolean): boolean {
    return !this.exclusive && !(exclusive && (this.list.length > 0 || this.singleActive));
  }

  all(): Consumer[] {
    return [...this.list];
  }

  add(consumer: Consumer): void {
    let at = this.list.length;
    while (at > 0 && (this.list[at - 1] as Consumer).priority < consumer.priority) at--;
    this.list.splice(at, 0, consumer);
    if (this.singleActive && this.active === null) this.active = consumer;
  }

  remove(consumer: Consumer): void {
    const at = this.list.indexOf(consumer);
    if (at < 0) return;
    this.list.splice(at, 1);
    if (this.cursor > at) this.cursor--;
    if (this.active === consumer) this.active = this.list[0] ?? null;
  }

  /** Who gets the next message, or null when nobody can take one. */
  next(): Consumer | null {
    if (this.singleActive) return this.active?.ready === true ? this.active : null;
    const { list } = this;
    if (list.length === 1) return (list[0] as Consumer).ready ? (list[0] as Consumer) : null;
    for (let start = 0; start < list.length; ) {
      const priority = (list[start] as Consumer).priority;
      let end = start + 1;
      while (end < list.length && (list[end] as Consumer).priority === priority) end++;
      const found = this.nextWithin(start, end);
      if (found !== null) return found;
      start = end;
    }
    return null;
  }

  private nextWithin(start: number, end: number): Consumer | null {
    let at = this.cursor >= start && this.cursor < end ? this.cursor : start;
    for (let tried = start; tried < end; tried++) {
      const consumer = this.list[at] as Consumer;
      at = at + 1 === end ? start : at + 1;
      if (!consumer.ready) continue;
      this.cursor = at;
      return consumer;
    }
    return null;
  }
}

/** What queues share until their first consumer comes. */
export const NOBODY = new ConsumerGroup(false);

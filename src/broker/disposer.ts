import type { Task, Turn } from "../base/turn.ts";
import type { Counters, DropReason } from "./stats.ts";
import type { SlotList } from "./store/slot-list.ts";

/** Messages let go per turn: ten million take seconds, and nobody must wait for them. */
const RELEASES_PER_TURN = 20_000;

/** Lets go of whole queues' messages in the background. */
export class Disposer implements Task {
  scheduled = false;
  private readonly turn: Turn;
  private readonly counters: Counters;
  private readonly release: (slot: number) => void;
  private readonly work: { list: SlotList; reason: DropReason }[] = [];

  constructor(turn: Turn, counters: Counters, release: (slot: number) => void) {
    this.turn = turn;
    this.counters = counters;
    this.release = release;
  }

  /** Lists were taken out of their queues whose messages are not let go yet. */
  get busy(): boolean {
    return this.work.length > 0;
  }

  add(lists: SlotList[], reason: DropReason): void {
    for (const list of lists) {
      this.counters.dropped[reason] += list.length;
      this.work.push({ list, reason });
    }
    // What is small goes at once, so that counts and memory are right when the caller is answered.
    this.run();
  }

  run(): void {
    let budget = RELEASES_PER_TURN;
    while (this.work.length > 0) {
      const { list } = this.work[0] as { list: SlotList };
      while (list.length > 0 && budget > 0) {
        this.release(list.popFront());
        budget--;
      }
      if (list.length > 0) {
        this.turn.soon(this);
        return;
      }
      this.work.shift();
    }
  }
}

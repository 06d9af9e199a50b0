import { randomUUID } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { Deadline, Deadlines } from "../../base/deadlines.ts";
import type { MetaStore } from "../../engine/engine.ts";
import { type GroupOffsets, type GroupParts, GroupSpace, type StreamNames } from "./space.ts";
import { GroupStore } from "./store.ts";
import { DEFAULT_GROUP_SETTINGS, type GroupSettings } from "./types.ts";

export interface GroupsOptions {
  readonly meta: MetaStore;
  readonly clock: Clock;
  /** For members' sessions, who live in real time whatever `clock` does; default: `clock`. */
  readonly sessionClock?: Clock;
  readonly streams: StreamNames;
  readonly settings?: Partial<GroupSettings>;
  /** Names that nobody has had; default: random UUIDs. */
  readonly newId?: () => string;
  /** A group is no more. */
  readonly removed?: (namespace: string, group: string) => void;
}

/** All groups of the broker. */
export class Groups {
  private readonly parts: GroupParts;
  private readonly spaces = new Map<string, GroupSpace>();
  private readonly sweeps: Deadlines;
  private readonly sweep = new Deadline(() => this.expire());

  /** Takes up what is stored. */
  constructor(options: GroupsOptions) {
    const { meta, clock, streams, settings, newId, removed } = options;
    this.parts = {
      store: new GroupStore(meta),
      deadlines: new Deadlines(options.sessionClock ?? clock),
      settings: { ...DEFAULT_GROUP_SETTINGS, ...settings },
      streams,
      newId: newId ?? randomUUID,
      removed: removed ?? (() => {}),
      now: () => clock.now(),
    };
    this.restore();
    this.sweeps = new Deadlines(clock);
    this.sweeps.set(this.sweep, this.parts.settings.expiryCheckMs);
  }

  space(namespace: string): GroupSpace {
    let space = this.spaces.get(namespace);
    if (space === undefined) {
      space = new GroupSpace(namespace, this.parts);
      this.spaces.set(namespace, space);
    }
    return space;
  }

  get count(): number {
    let count = 0;
    for (const space of this.spaces.values()) count += space.count;
    return count;
  }

  /** The committed offsets of each group of each namespace. */
  *committed(): Iterable<GroupOffsets & { readonly namespace: string }> {
    for (const space of this.spaces.values()) {
      for (const group of space.committed()) yield { ...group, namespace: space.namespace };
    }
  }

  /** To be called when a namespace is deleted. */
  forgetNamespace(namespace: string): void {
    this.spaces.get(namespace)?.clear();
    this.spaces.delete(namespace);
  }

  /** Sessions end no more after this. */
  stop(): void {
    this.parts.deadlines.stop();
    this.sweeps.stop();
  }

  private restore(): void {
    const { store } = this.parts;
    for (const { namespace, name, record } of store.groups())
      this.space(namespace).restoreGroup(name, record);
    for (const { namespace, group, stream, partition, offset, producerId } of store.offsets()) {
      const offsets = this.space(namespace).restoring(group);
      if (producerId < 0) offsets.restore(stream, partition, offset);
      else offsets.restoreUndecided(producerId, stream, partition, offset);
    }
  }

  private expire(): void {
    for (const space of this.spaces.values()) space.expire();
    this.sweeps.set(this.sweep, this.parts.settings.expiryCheckMs);
  }
}

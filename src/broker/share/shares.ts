import type { Clock } from "../../base/clock.ts";
import { Deadlines } from "../../base/deadlines.ts";
import type { Logger } from "../../base/logger.ts";
import type { MetaStore } from "../../engine/engine.ts";
import type { GroupRefusal, GroupView } from "../groups/types.ts";
import type { StreamHandle } from "../stream/types.ts";
import { DeadLetterOffice } from "./dead-letter-office.ts";
import { Lease, type LeaseHost } from "./lease.ts";
import type { WindowSnapshot } from "./lease-window.ts";
import type { LeaseHandle, ShareControl, SharePolicy, SharePosition } from "./types.ts";

/**
 * What share groups have read, in the metadata store; '/' and '%' in names percent-encoded:
 *
 *     shares/format                                      JSON {version}
 *     shares/lease/<ns>/<group>/<stream id>/<partition>  JSON {start, runs}
 */
const VERSION = 1;
const FORMAT_KEY = "shares/format";
const PREFIX = "shares/lease/";

export interface SharesOptions {
  readonly meta: MetaStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly streams: {
    find(namespace: string, name: string): StreamHandle | null;
    findById(id: string): StreamHandle | null;
  };
  readonly groups: { space(namespace: string): { describe(name: string): GroupView | null } };
}

interface Parts extends SharesOptions {
  readonly deadlines: Deadlines;
  readonly office: DeadLetterOffice;
}

/** All share groups' reading. */
export class Shares {
  private readonly parts: Parts;
  private readonly spaces = new Map<string, ShareSpace>();

  /** @throws Error for a version that this program does not know */
  constructor(options: SharesOptions) {
    const { meta, clock, logger, streams } = options;
    const value = meta.get(FORMAT_KEY);
    const version = value === undefined ? VERSION : (parse(value) as { version: number }).version;
    if (version !== VERSION) {
      throw new Error(`share groups are stored in version ${version}; this program reads version ${VERSION}`);
    }
    if (value === undefined) meta.put(FORMAT_KEY, bytesOf({ version: VERSION }));
    const deadlines = new Deadlines(clock);
    const office = new DeadLetterOffice(
      (namespace, name) => streams.find(namespace, name),
      () => clock.now(),
      deadlines,
      logger,
    );
    this.parts = { ...options, deadlines, office };
  }

  space(namespace: string): ShareSpace {
    let space = this.spaces.get(namespace);
    if (space === undefined) {
      space = new ShareSpace(namespace, this.parts);
      this.spaces.set(namespace, space);
    }
    return space;
  }

  /** Leases end no more after this. */
  stop(): void {
    this.parts.deadlines.stop();
  }
}

/** Share groups' reading in one namespace. */
export class ShareSpace implements ShareControl {
  private readonly namespace: string;
  private readonly parts: Parts;
  private readonly host: LeaseHost;
  /** By group, and then by stream's id and partition. */
  private readonly groups = new Map<string, Map<string, Lease>>();

  constructor(namespace: string, parts: Parts) {
    this.namespace = namespace;
    this.parts = parts;
    this.host = {
      deadlines: parts.deadlines,
      office: parts.office,
      now: () => parts.clock.monotonic(),
      save: (lease) => {
        if (lease.stream.deleted) return;
        const key = this.keyOf(lease.group, lease.stream.id, lease.partition);
        parts.meta.put(key, bytesOf(lease.window.snapshot()));
      },
    };
  }

  lease(group: string, stream: StreamHandle, partition: number, policy: SharePolicy): LeaseHandle | null {
    const handle = stream.partitions[partition];
    if (handle === undefined || stream.deleted) return null;
    const leases = this.leasesOf(group);
    const key = `${stream.id}/${partition}`;
    let lease = leases.get(key);
    if (lease === undefined) {
      lease = new Lease(group, handle, policy, this.stored(group, stream.id, partition), this.host);
      this.forgetDeleted(leases);
      leases.set(key, lease);
    }
    lease.policy = policy;
    return lease;
  }

  release(group: string, member: string): void {
    for (const lease of this.groups.get(group)?.values() ?? []) lease.releaseOf(member);
  }

  durable(done: () => void): void {
    this.parts.meta.flush(done);
  }

  positions(group: string): SharePosition[] {
    const found: SharePosition[] = [];
    for (const [key, value] of this.parts.meta.entries(this.prefixOf(group))) {
      const [streamId = "", partition] = key.slice(this.prefixOf(group).length).split("/");
      const handle = this.parts.streams.findById(streamId)?.partitions[Number(partition)];
      if (handle === undefined) continue;
      const lease = this.groups.get(group)?.get(`${streamId}/${partition}`);
      const { start, runs } = lease?.window.snapshot() ?? (parse(value) as WindowSnapshot);
      const [taken, unfinished] = countsOf(runs);
      const behind = Math.max(0, handle.committedOffset - Math.max(start + taken, handle.startOffset));
      const { name } = handle.stream;
      found.push({ stream: name, streamId, partition: handle.index, start, lag: behind + unfinished });
    }
    return found;
  }

  setStart(
    group: string,
    stream: StreamHandle,
    partition: number,
    start: number,
    done: (refusal: GroupRefusal | null) => void,
  ): void {
    const refusal = this.changeRefusal(group);
    if (refusal !== null) {
      done(refusal);
      return;
    }
    this.close(group, `${stream.id}/${partition}`);
    this.parts.meta.put(this.keyOf(group, stream.id, partition), bytesOf({ start, runs: [] }));
    this.parts.meta.flush(() => done(null));
  }

  forget(group: string, stream: string, done: (refusal: GroupRefusal | null) => void): void {
    const refusal = this.changeRefusal(group);
    if (refusal !== null) {
      done(refusal);
      return;
    }
    const id = this.parts.streams.find(this.namespace, stream)?.id;
    for (const [key] of [...this.parts.meta.entries(`${this.prefixOf(group)}${id ?? "-"}/`)]) {
      this.parts.meta.delete(key);
      this.close(group, key.slice(this.prefixOf(group).length));
    }
    this.parts.meta.flush(() => done(null));
  }

  /** The group is deleted; durable with the store's next flush. */
  forgetGroup(group: string): void {
    for (const [key] of [...this.parts.meta.entries(this.prefixOf(group))]) this.parts.meta.delete(key);
    for (const key of [...(this.groups.get(group)?.keys() ?? [])]) this.close(group, key);
    this.groups.delete(group);
  }

  private changeRefusal(group: string): GroupRefusal | null {
    const view = this.parts.groups.space(this.namespace).describe(group);
    if (view === null || view.kind !== "share") return "group-not-found";
    return view.members.length > 0 ? "group-not-empty" : null;
  }

  private close(group: string, key: string): void {
    this.groups.get(group)?.get(key)?.close();
    this.groups.get(group)?.delete(key);
  }

  private leasesOf(group: string): Map<string, Lease> {
    let leases = this.groups.get(group);
    if (leases === undefined) {
      leases = new Map();
      this.groups.set(group, leases);
    }
    return leases;
  }

  /** Of streams that are gone nothing is kept. */
  private forgetDeleted(leases: Map<string, Lease>): void {
    for (const [key, lease] of leases) {
      if (!lease.stream.deleted) continue;
      this.parts.meta.delete(this.keyOf(lease.group, lease.stream.id, lease.partition));
      lease.close();
      leases.delete(key);
    }
  }

  private stored(group: string, streamId: string, partition: number): WindowSnapshot | null {
    const value = this.parts.meta.get(this.keyOf(group, streamId, partition));
    return value === undefined ? null : (parse(value) as WindowSnapshot);
  }

  private prefixOf(group: string): string {
    const names = [this.namespace, group].map((name) => name.replace(/[%/]/g, encodeURIComponent));
    return `${PREFIX}${names.join("/")}/`;
  }

  private keyOf(group: string, streamId: string, partition: number): string {
    return `${this.prefixOf(group)}${streamId}/${partition}`;
  }
}

/** Of a window's runs: all its records, and those that are not done with. */
function countsOf(runs: readonly number[]): [taken: number, unfinished: number] {
  let [taken, unfinished] = [0, 0];
  for (let index = 0; index < runs.length; index += 2) {
    taken += runs[index] as number;
    if ((runs[index + 1] as number) >= 0) unfinished += runs[index] as number;
  }
  return [taken, unfinished];
}

function bytesOf(json: object): Uint8Array {
  // Not a Buffer: a small one is a window on memory that it shares with others.
  return new TextEncoder().encode(JSON.stringify(json));
}

function parse(value: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(value));
}

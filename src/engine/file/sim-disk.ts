/**
 * A disk in memory that can do to the engine what real ones do. For tests.
 *
 * It models a page cache: a write is seen at once and is on stable storage only after a sync. At a
 * power loss every write that was not synced is there, not there, or there in part, each by itself;
 * names (created, renamed, removed files) that no directory sync covered survive as a prefix of the
 * order in which they were made, as on a journaling file system.
 */
import path from "node:path";
import { LockedError } from "../engine.ts";
import type { Disk, DiskLock, OpenMode } from "./disk.ts";

/** Numbers in [0, 1). Give a seeded one, so that a failure can be run again. */
export type Random = () => number;

export type SimOperationName =
  | "create"
  | "write"
  | "datasync"
  | "truncate"
  | "rename"
  | "unlink"
  | "syncDirectory"
  | "read";

export interface SimOperation {
  readonly name: SimOperationName;
  readonly path: string;
}

interface UnsyncedWrite {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface Inode {
  path: string;
  data: Uint8Array;
  size: number;
  durable: Uint8Array;
  unsynced: (UnsyncedWrite | { readonly truncateTo: number })[];
}

type NameChange =
  | { readonly kind: "create"; readonly path: string; readonly inode: Inode }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  | { readonly kind: "unlink"; readonly path: string };

/** Disks tear writes between sectors; small ones here, so that small tests see it. */
const SECTOR_BYTES = 64;

export function seededRandom(seed: number): Random {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

function simError(code: string, operation: SimOperation): Error {
  return Object.assign(new Error(`${code}: ${operation.name} '${operation.path}'`), { code });
}

function put(inode: Inode, offset: number, bytes: Uint8Array): void {
  const end = offset + bytes.length;
  if (end > inode.data.length) {
    const grown = new Uint8Array(Math.max(end, inode.data.length * 2));
    grown.set(inode.data.subarray(0, inode.size));
    inode.data = grown;
  }
  inode.data.set(bytes, offset);
  inode.size = Math.max(inode.size, end);
}

function cutTo(inode: Inode, bytes: number): void {
  if (bytes < inode.size) inode.data.fill(0, bytes, inode.size);
  else put(inode, inode.size, new Uint8Array(bytes - inode.size));
  inode.size = bytes;
}

function newInode(file: string, bytes: Uint8Array): Inode {
  return { path: file, data: bytes.slice(), size: bytes.length, durable: bytes.slice(), unsynced: [] };
}

function applyChange(names: Map<string, Inode>, change: NameChange): void {
  if (change.kind === "create") names.set(change.path, change.inode);
  else if (change.kind === "unlink") names.delete(change.path);
  else {
    const inode = names.get(change.path);
    names.delete(change.path);
    if (inode !== undefined) names.set(change.to, inode);
  }
}

function touches(change: NameChange, directory: string): boolean {
  if (path.dirname(change.path) === directory) return true;
  return change.kind === "rename" && path.dirname(change.to) === directory;
}

export class SimDisk implements Disk {
  readonly durableWrites: boolean;
  /** Bytes of all files together that fit. */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** Changing operations so far. */
  operations = 0;
  /** The process dies in the middle of the operation with this number. */
  killAt = Number.POSITIVE_INFINITY;
  /** Returns the code with which an operation fails, or null. A write that fails may have come some of the way. */
  fault: (operation: SimOperation) => string | null = () => null;
  /** Resolves when `killAt` was reached. */
  readonly killed: Promise<void>;
  private resolveKilled: () => void = () => {};
  private dead = false;
  private names = new Map<string, Inode>();
  private durableNames = new Map<string, Inode>();
  private nameChanges: NameChange[] = [];
  private readonly handles = new Map<number, Inode>();
  private readonly durableHandles = new Set<number>();
  private nextHandle = 3;
  private readonly locks = new Set<string>();
  private stalled: Promise<void> | null = null;
  private readonly random: Random;

  constructor(random: Random = seededRandom(1), durableWrites = true) {
    this.random = random;
    this.durableWrites = durableWrites;
    this.killed = new Promise((resolve) => {
      this.resolveKilled = resolve;
    });
  }

  get openHandles(): number {
    return this.handles.size;
  }

  /** Holds up every write and sync until the returned function is called. */
  stall(): () => void {
    let release: () => void = () => {};
    this.stalled = new Promise((resolve) => {
      release = resolve;
    });
    return () => {
      this.stalled = null;
      release();
    };
  }

  /** What another process finds after this one was killed: all that the system was given, synced or not. */
  afterKill(): SimDisk {
    const next = new SimDisk(this.random, this.durableWrites);
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode): Inode => {
      const copy = copies.get(inode) ?? {
        path: inode.path,
        data: inode.data.slice(),
        size: inode.size,
        durable: inode.durable.slice(),
        unsynced: [...inode.unsynced],
      };
      copies.set(inode, copy);
      return copy;
    };
    for (const [file, inode] of this.names) next.names.set(file, copyOf(inode));
    for (const [file, inode] of this.durableNames) next.durableNames.set(file, copyOf(inode));
    next.nameChanges = this.nameChanges.map((change) =>
      change.kind === "create" ? { ...change, inode: copyOf(change.inode) } : change,
    );
    return next;
  }

  /** What is there after the power failed. */
  afterPowerLoss(random: Random = this.random): SimDisk {
    const next = new SimDisk(random, this.durableWrites);
    const names = new Map(this.durableNames);
    const kept = Math.floor(random() * (this.nameChanges.length + 1));
    for (const change of this.nameChanges.slice(0, kept)) applyChange(names, change);
    for (const [file, inode] of names) next.replace(file, survivingBytes(inode, random));
    return next;
  }

  /** All files, for tests that damage them. */
  paths(): string[] {
    return [...this.names.keys()].sort();
  }

  bytesOf(file: string): Uint8Array {
    const inode = this.inode(file);
    return inode.data.slice(0, inode.size);
  }

  /** Puts other bytes in place of a file's, on stable storage. */
  replace(file: string, bytes: Uint8Array): void {
    const fresh = newInode(file, bytes);
    this.names.set(file, fresh);
    this.durableNames.set(file, fresh);
  }

  async open(file: string, mode: OpenMode): Promise<number> {
    if (this.names.has(file) || mode === "read") await this.turn();
    else {
      await this.change({ name: "create", path: file }, () => {
        if (!this.names.has(file)) {
          this.changeName({ kind: "create", path: file, inode: newInode(file, new Uint8Array(0)) });
        }
      });
    }
    const inode = this.inode(file);
    const handle = this.nextHandle++;
    this.handles.set(handle, inode);
    if (mode === "durable" && this.durableWrites) this.durableHandles.add(handle);
    return handle;
  }

  async close(handle: number): Promise<void> {
    await this.turn();
    this.byHandle(handle);
    this.handles.delete(handle);
    this.durableHandles.delete(handle);
  }

  async read(handle: number, target: Uint8Array, offset: number): Promise<number> {
    await this.turn();
    const inode = this.byHandle(handle);
    const code = this.fault({ name: "read", path: inode.path });
    if (code !== null) throw simError(code, { name: "read", path: inode.path });
    const bytes = inode.data.subarray(
      Math.min(offset, inode.size),
      Math.min(offset + target.length, inode.size),
    );
    target.set(bytes);
    return bytes.length;
  }

  write(handle: number, buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const inode = this.byHandle(handle);
    const bytes = new Uint8Array(Buffer.concat(buffers));
    const operation: SimOperation = { name: "write", path: inode.path };
    const tear = (): void =>
      this.store(inode, offset, bytes.subarray(0, Math.floor(this.random() * bytes.length)));
    const apply = (): void => {
      const room = Math.max(0, this.capacityBytes - this.usedBytes());
      if (offset + bytes.length - inode.size > room) {
        this.store(inode, offset, bytes.subarray(0, Math.min(bytes.length, room)));
        throw simError("ENOSPC", operation);
      }
      this.store(inode, offset, bytes);
      if (this.durableHandles.has(handle)) this.settleRange(inode, offset, offset + bytes.length);
    };
    return this.change(operation, apply, tear);
  }

  datasync(handle: number): Promise<void> {
    const inode = this.byHandle(handle);
    return this.change({ name: "datasync", path: inode.path }, () =>
      this.settle(inode, inode.unsynced.splice(0)),
    );
  }

  truncate(handle: number, bytes: number): Promise<void> {
    const inode = this.byHandle(handle);
    return this.change({ name: "truncate", path: inode.path }, () => {
      cutTo(inode, bytes);
      inode.unsynced.push({ truncateTo: bytes });
    });
  }

  async size(file: string): Promise<number> {
    await this.turn();
    return this.inode(file).size;
  }

  rename(from: string, to: string): Promise<void> {
    return this.change({ name: "rename", path: from }, () => {
      this.inode(from).path = to;
      this.changeName({ kind: "rename", path: from, to });
    });
  }

  unlink(file: string): Promise<void> {
    return this.change({ name: "unlink", path: file }, () => {
      this.inode(file);
      this.changeName({ kind: "unlink", path: file });
    });
  }

  async list(directory: string): Promise<string[]> {
    await this.turn();
    const found = new Set<string>();
    for (const file of this.names.keys()) {
      const relative = path.relative(directory, file);
      if (!relative.startsWith("..")) found.add(relative.split(path.sep)[0]);
    }
    return [...found];
  }

  async makeDirectory(): Promise<void> {
    await this.turn();
  }

  async removeDirectory(): Promise<void> {
    await this.turn();
  }

  syncDirectory(directory: string): Promise<void> {
    return this.change({ name: "syncDirectory", path: directory }, () => {
      let count = 0;
      for (const [index, change] of this.nameChanges.entries())
        if (touches(change, directory)) count = index + 1;
      for (const change of this.nameChanges.splice(0, count)) applyChange(this.durableNames, change);
    });
  }

  async freeBytes(): Promise<number> {
    await this.turn();
    return this.capacityBytes - this.usedBytes();
  }

  async lock(directory: string): Promise<DiskLock> {
    await this.turn();
    if (this.locks.has(directory)) throw new LockedError(`data directory ${directory} is in use`);
    this.locks.add(directory);
    return {
      release: async () => {
        this.locks.delete(directory);
      },
    };
  }

  private usedBytes(): number {
    let used = 0;
    for (const inode of new Set(this.names.values())) used += inode.size;
    return used;
  }

  private store(inode: Inode, offset: number, bytes: Uint8Array): void {
    put(inode, offset, bytes);
    inode.unsynced.push({ offset, bytes });
  }

  private settle(inode: Inode, writes: Inode["unsynced"]): void {
    const kept = newInode(inode.path, inode.durable);
    for (const write of writes) {
      if ("truncateTo" in write) cutTo(kept, write.truncateTo);
      else put(kept, write.offset, write.bytes);
    }
    inode.durable = kept.data.slice(0, kept.size);
  }

  /** Only these bytes: what else is unsynced in the file stays so, and never comes over them. */
  private settleRange(inode: Inode, start: number, end: number): void {
    const earlier = inode.unsynced.splice(0);
    this.settle(inode, earlier.splice(-1));
    for (const write of earlier) {
      if ("truncateTo" in write) {
        inode.unsynced.push({ truncateTo: Math.max(write.truncateTo, end) });
        continue;
      }
      const { offset, bytes } = write;
      if (offset < start) inode.unsynced.push({ offset, bytes: bytes.subarray(0, start - offset) });
      if (offset + bytes.length > end) {
        const from = Math.max(offset, end);
        inode.unsynced.push({ offset: from, bytes: bytes.subarray(from - offset) });
      }
    }
  }

  private changeName(change: NameChange): void {
    applyChange(this.names, change);
    this.nameChanges.push(change);
  }

  private inode(file: string): Inode {
    const inode = this.names.get(file);
    if (inode === undefined) throw simError("ENOENT", { name: "read", path: file });
    return inode;
  }

  private byHandle(handle: number): Inode {
    const inode = this.handles.get(handle);
    if (inode === undefined) throw simError("EBADF", { name: "read", path: `handle ${handle}` });
    return inode;
  }

  /** Every operation takes a turn; a dead process gets none. */
  private async turn(): Promise<void> {
    if (this.dead) await new Promise(() => {});
    await Promise.resolve();
  }

  /** `apply` and its being counted are one: whoever looks after a kill sees all of it or nothing. */
  private async change(operation: SimOperation, apply: () => void, tear?: () => void): Promise<void> {
    await this.turn();
    while (this.stalled !== null) await this.stalled;
    if (this.dead) await new Promise(() => {});
    this.operations++;
    if (this.operations >= this.killAt) {
      this.dead = true;
      tear?.();
      this.resolveKilled();
      await new Promise(() => {});
    }
    const code = this.fault(operation);
    if (code !== null) {
      if (this.random() < 0.5) tear?.();
      throw simError(code, operation);
    }
    apply();
  }
}

function survivingBytes(inode: Inode, random: Random): Uint8Array {
  const kept = newInode(inode.path, inode.durable);
  for (const write of inode.unsynced) {
    const fate = random();
    if (fate < 0.3) continue;
    if ("truncateTo" in write) cutTo(kept, write.truncateTo);
    else if (fate < 0.6) put(kept, write.offset, write.bytes);
    else putSectors(kept, write, random);
  }
  return kept.data.slice(0, kept.size);
}

function putSectors(kept: Inode, write: UnsyncedWrite, random: Random): void {
  for (let at = 0; at < write.bytes.length; at += SECTOR_BYTES) {
    if (random() < 0.5) put(kept, write.offset + at, write.bytes.subarray(at, at + SECTOR_BYTES));
  }
}

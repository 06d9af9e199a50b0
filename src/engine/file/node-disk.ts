/** The real disk: node:fs with callbacks, so that an operation costs one trip to the thread pool. */
import fs from "node:fs";
import { lockDirectory } from "./directory-lock.ts";
import type { Disk, DiskLock, OpenMode } from "./disk.ts";

/**
 * Elsewhere O_DSYNC does not exist (Windows) or does not empty the drive's own cache (macOS, where
 * node's fdatasync does), so there a write is followed by a sync.
 */
const DURABLE_WRITES = process.platform === "linux" && fs.constants.O_DSYNC !== undefined;

/** Vectors that one writev system call takes on every system we know. */
const VECTORS_MAX = 1024;

function flagsOf(mode: OpenMode): number {
  const { O_RDONLY, O_RDWR, O_CREAT, O_DSYNC } = fs.constants;
  if (mode === "read") return O_RDONLY;
  return mode === "durable" && DURABLE_WRITES ? O_RDWR | O_CREAT | O_DSYNC : O_RDWR | O_CREAT;
}

function settle(resolve: () => void, reject: (error: Error) => void): (error: Error | null) => void {
  return (error) => (error === null || error === undefined ? resolve() : reject(error));
}

/** What is left of `buffers` after `written` bytes: the system may take less than it was offered. */
function remainder(buffers: readonly Uint8Array[], written: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = written;
  for (const buffer of buffers) {
    if (skip >= buffer.length) skip -= buffer.length;
    else {
      rest.push(skip === 0 ? buffer : buffer.subarray(skip));
      skip = 0;
    }
  }
  return rest;
}

function totalBytes(buffers: readonly Uint8Array[]): number {
  let total = 0;
  for (const buffer of buffers) total += buffer.length;
  return total;
}

function writeOnce(handle: number, buffers: readonly Uint8Array[], offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, written: number): void => (error ? reject(error) : resolve(written));
    if (buffers.length === 1) fs.write(handle, buffers[0], 0, buffers[0].length, offset, done);
    else fs.writev(handle, buffers.slice(0, VECTORS_MAX), offset, done);
  });
}

export class NodeDisk implements Disk {
  readonly durableWrites = DURABLE_WRITES;

  open(path: string, mode: OpenMode): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.open(path, flagsOf(mode), 0o640, (error, handle) => (error ? reject(error) : resolve(handle)));
    });
  }

  close(handle: number): Promise<void> {
    return new Promise((resolve, reject) => fs.close(handle, settle(resolve, reject)));
  }

  async read(handle: number, target: Uint8Array, offset: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const got = await new Promise<number>((resolve, reject) => {
        fs.read(handle, target, filled, target.length - filled, offset + filled, (error, bytes) =>
          error ? reject(error) : resolve(bytes),
        );
      });
      if (got === 0) break;
      filled += got;
    }
    return filled;
  }

  async write(handle: number, buffers: readonly Uint8Array[], offset: number): Promise<void> {
    let rest = buffers;
    let left = totalBytes(buffers);
    let at = offset;
    while (left > 0) {
      const written = await writeOnce(handle, rest, at);
      if (written === left) return;
      at += written;
      left -= written;
      rest = remainder(rest, written);
    }
  }

  datasync(handle: number): Promise<void> {
    return new Promise((resolve, reject) => fs.fdatasync(handle, settle(resolve, reject)));
  }

  truncate(handle: number, bytes: number): Promise<void> {
    return new Promise((resolve, reject) => fs.ftruncate(handle, bytes, settle(resolve, reject)));
  }

  size(path: string): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.stat(path, (error, stats) => (error ? reject(error) : resolve(stats.size)));
    });
  }

  rename(from: string, to: string): Promise<void> {
    return new Promise((resolve, reject) => fs.rename(from, to, settle(resolve, reject)));
  }

  unlink(path: string): Promise<void> {
    return new Promise((resolve, reject) => fs.unlink(path, settle(resolve, reject)));
  }

  list(directory: string): Promise<string[]> {
    return new Promise((resolve, reject) => {
      fs.readdir(directory, (error, names) => {
        if (error === null) resolve(names);
        else if (error.code === "ENOENT") resolve([]);
        else reject(error);
      });
    });
  }

  makeDirectory(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.mkdir(path, { recursive: true, mode: 0o750 }, settle(resolve, reject));
    });
  }

  removeDirectory(path: string): Promise<void> {
    return new Promise((resolve, reject) => fs.rmdir(path, settle(resolve, reject)));
  }

  async syncDirectory(path: string): Promise<void> {
    // Windows cannot open a directory; NTFS journals names by itself.
    if (process.platform === "win32") return;
    const handle = await this.open(path, "read");
    try {
      await new Promise<void>((resolve, reject) => fs.fsync(handle, settle(resolve, reject)));
    } finally {
      await this.close(handle);
    }
  }

  freeBytes(directory: string): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.statfs(directory, (error, stats) => (error ? reject(error) : resolve(stats.bavail * stats.bsize)));
    });
  }

  lock(directory: string): Promise<DiskLock> {
    return lockDirectory(directory);
  }
}

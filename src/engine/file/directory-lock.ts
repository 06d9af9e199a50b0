/**
 * One engine a data directory. A pid file alone cannot do it: pids come round again and every
 * container has a pid 1. So the lock is something that the operating system takes back when its
 * process ends, also after kill -9; the file LOCK only says who has it.
 *
 * - Linux: an abstract socket named after the directory's device and inode (atomic, but seen only
 *   within a network namespace), and a socket in the directory itself, which is asked whether anyone
 *   still listens: that finds a broker in another container on the same volume.
 * - macOS and the BSDs: open(2) with O_EXLOCK. - Windows: a named pipe, which has one owner.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { LockedError } from "../engine.ts";
import { type DiskLock, errorCode } from "./disk.ts";

const LOCK_FILE = "LOCK";
const SOCKET_FILE = "LOCK.socket";
const O_EXLOCK_NONBLOCK = 0x20 | 0x4;
/** sun_path holds 108 bytes on Linux. */
const SOCKET_PATH_BYTES_MAX = 100;

/** Directories held by engines of this process: an O_EXLOCK would deadlock, a message would say less. */
const heldHere = new Set<string>();

type Release = () => void | Promise<void>;

function listen(address: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen(address, () => {
      server.unref();
      resolve(server);
    });
  });
}

function stopListening(server: net.Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function isAnswered(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    const finish = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", finish(true));
    socket.once("error", finish(false));
  });
}

function refusal(directory: string): LockedError {
  let holder = "another process";
  try {
    const said = JSON.parse(fs.readFileSync(path.join(directory, LOCK_FILE), "utf8")) as { pid?: number };
    if (typeof said.pid === "number") holder = `the process with pid ${said.pid}`;
  } catch {
    // The holder may be starting and not have written its name yet.
  }
  return new LockedError(
    `data directory ${directory} is in use by ${holder}; stop it or choose another data directory`,
  );
}

async function lockBySockets(directory: string): Promise<Release> {
  const { dev, ino } = fs.statSync(directory);
  const own = await listen(`\0polymq-data-${dev}-${ino}`).catch((error: unknown) => {
    throw errorCode(error) === "EADDRINUSE" ? refusal(directory) : error;
  });
  const inside = path.join(directory, SOCKET_FILE);
  let visible: net.Server | null = null;
  if (Buffer.byteLength(inside) <= SOCKET_PATH_BYTES_MAX) {
    if (await isAnswered(inside)) {
      await stopListening(own);
      throw refusal(directory);
    }
    fs.rmSync(inside, { force: true });
    // Not every file system can hold a socket; the abstract one guards this machine all the same.
    visible = await listen(inside).catch(() => null);
  }
  return async () => {
    if (visible !== null) await stopListening(visible);
    await stopListening(own);
  };
}

async function lockByPipe(directory: string): Promise<Release> {
  const digest = createHash("sha256").update(directory.toLowerCase()).digest("hex");
  const name = `\\\\.\\pipe\\polymq-${digest}`;
  const server = await listen(name).catch((error: unknown) => {
    throw errorCode(error) === "EADDRINUSE" ? refusal(directory) : error;
  });
  return () => stopListening(server);
}

function lockByOpen(directory: string): Release {
  const { O_RDWR, O_CREAT } = fs.constants;
  try {
    const handle = fs.openSync(path.join(directory, LOCK_FILE), O_RDWR | O_CREAT | O_EXLOCK_NONBLOCK, 0o640);
    return () => fs.closeSync(handle);
  } catch (error) {
    throw errorCode(error) === "EAGAIN" ? refusal(directory) : error;
  }
}

function take(directory: string): Promise<Release> | Release {
  if (process.platform === "linux") return lockBySockets(directory);
  if (process.platform === "win32") return lockByPipe(directory);
  return lockByOpen(directory);
}

/** Best effort: a full disk must not keep a broker from starting or ending. */
function say(directory: string, text: string): void {
  try {
    fs.writeFileSync(path.join(directory, LOCK_FILE), text);
  } catch {
    // Only the refusal's message is the poorer for it.
  }
}

/** @throws LockedError naming the pid that has the directory */
export async function lockDirectory(directory: string): Promise<DiskLock> {
  const real = fs.realpathSync(directory);
  if (heldHere.has(real)) throw refusal(real);
  heldHere.add(real);
  let release: Release;
  try {
    release = await take(real);
  } catch (error) {
    heldHere.delete(real);
    throw error;
  }
  say(real, `${JSON.stringify({ pid: process.pid })}\n`);
  return {
    release: async () => {
      // While still locked: after that the name in it may be the next holder's.
      say(real, "");
      await release();
      heldHere.delete(real);
    },
  };
}

import { createHmac, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../base/clock.ts";

/** A password's hash with all that is needed to compute it again. Bytes are base64. */
export interface PasswordHash {
  readonly algorithm: "scrypt";
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly salt: string;
  readonly hash: string;
}

/**
 * About 100 ms and 32 MiB a try. Just above 32 MiB glibc gives memory back at once; what is smaller stays with
 * the thread that hashed, for good.
 */
const COST = 32_768;
/** Of a password that everybody knows, which is not worth more than 3 ms. */
export const PUBLIC_COST = 1024;
const BLOCK_SIZE = 8;
const PARALLELIZATION = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

export async function hashPassword(password: string, cost = COST): Promise<PasswordHash> {
  const parameters = {
    algorithm: "scrypt" as const,
    cost,
    blockSize: BLOCK_SIZE,
    parallelization: PARALLELIZATION,
    salt: randomBytes(SALT_BYTES).toString("base64"),
  };
  const hash = await derive(password, parameters, HASH_BYTES);
  return { ...parameters, hash: hash.toString("base64") };
}

async function verifyPassword(password: string, stored: PasswordHash): Promise<boolean> {
  const expected = Buffer.from(stored.hash, "base64");
  return timingSafeEqual(await derive(password, stored, expected.length), expected);
}

function derive(password: string, by: Omit<PasswordHash, "hash">, bytes: number): Promise<Buffer> {
  const { cost, blockSize, parallelization } = by;
  const options = { cost, blockSize, parallelization, maxmem: 256 * cost * blockSize };
  return new Promise((resolve, reject) => {
    scrypt(password, Buffer.from(by.salt, "base64"), bytes, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

const REMEMBERED_MS = 60_000;
const REMEMBERED_MAX = 10_000;
/** Hashing shares a handful of threads with file access: connecting clients must not take them all. */
const CONCURRENT_MAX = 2;

/**
 * Verifies passwords, and remembers for a minute which were right, so that thousands of connections
 * of one user cost one hash. Remembered is a keyed digest of password and stored hash: it is of no
 * use outside this process, and a new password makes it worthless.
 */
export class PasswordVerifier {
  private readonly clock: Clock;
  private readonly secret = randomBytes(32);
  private readonly rightUntil = new Map<string, number>();
  private readonly running = new Map<string, Promise<boolean>>();
  private readonly waiting: (() => void)[] = [];
  private busy = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  verify(password: string, stored: PasswordHash): Promise<boolean> {
    return this.verifyBy(password, stored.hash, () => verifyPassword(password, stored));
  }

  /** `stored` stands for the whole of what the password is compared with by `compare`. */
  async verifyBy(password: string, stored: string, compare: () => Promise<boolean>): Promise<boolean> {
    const digest = createHmac("sha256", this.secret)
      .update(stored)
      .update("\0")
      .update(password)
      .digest("base64url");
    const until = this.rightUntil.get(digest);
    if (until !== undefined && until > this.clock.monotonic()) return true;
    let running = this.running.get(digest);
    if (running === undefined) {
      running = this.compute(digest, compare).finally(() => this.running.delete(digest));
      this.running.set(digest, running);
    }
    return running;
  }

  private async compute(digest: string, compare: () => Promise<boolean>): Promise<boolean> {
    if (this.busy >= CONCURRENT_MAX) await new Promise<void>((go) => this.waiting.push(go));
    else this.busy++;
    try {
      const right = await compare();
      if (right) this.remember(digest);
      return right;
    } finally {
      // Whoever waits takes the place over, so that a newcomer cannot slip in between.
      const go = this.waiting.shift();
      if (go === undefined) this.busy--;
      else go();
    }
  }

  private remember(digest: string): void {
    if (this.rightUntil.size >= REMEMBERED_MAX) this.rightUntil.clear();
    this.rightUntil.set(digest, this.clock.monotonic() + REMEMBERED_MS);
  }
}

import { createHash } from "node:crypto";

const HASH_BYTES = 16;
const LOAD_MAX = 0.75;
const SLOTS_MIN = 64;
/** 25 MB of memory: a partition with more keys is cleaned in several passes. */
const KEYS_MAX = 750_000;

/**
 * The newest offset of each key, known by 128 bits of a hash: small enough for many keys, and wide
 * enough that two never meet.
 */
export class KeyMap {
  private readonly slots: number;
  private readonly hashes: Uint32Array;
  private readonly offsets: Float64Array;
  private readonly digest = new Uint32Array(HASH_BYTES / 4);
  private count = 0;

  /** For about `keys` keys; never many more than `keysMax`. */
  constructor(keys: number, keysMax = KEYS_MAX) {
    let slots = SLOTS_MIN;
    while (slots * LOAD_MAX < Math.min(keys, keysMax)) slots *= 2;
    this.slots = slots;
    this.hashes = new Uint32Array(this.slots * 4);
    this.offsets = new Float64Array(this.slots).fill(-1);
  }

  /** There is no room for `more` further keys. */
  fills(more: number): boolean {
    return this.count + more > this.slots * LOAD_MAX;
  }

  get empty(): boolean {
    return this.count === 0;
  }

  put(key: Uint8Array, offset: number): void {
    const slot = this.slotOf(key);
    if (this.offsets[slot] === -1) {
      this.hashes.set(this.digest, slot * 4);
      this.count++;
    }
    this.offsets[slot] = offset;
  }

  /** The newest offset of the key, or -1. */
  get(key: Uint8Array): number {
    return this.offsets[this.slotOf(key)] as number;
  }

  /** The slot that holds the key, or the free one where it belongs. */
  private slotOf(key: Uint8Array): number {
    const hash = createHash("sha256").update(key).digest();
    const { digest, hashes, offsets } = this;
    for (let word = 0; word < 4; word++) digest[word] = hash.readUInt32LE(word * 4);
    let slot = (digest[0] as number) & (this.slots - 1);
    while (offsets[slot] !== -1) {
      const at = slot * 4;
      if (
        hashes[at] === digest[0] &&
        hashes[at + 1] === digest[1] &&
        hashes[at + 2] === digest[2] &&
        hashes[at + 3] === digest[3]
      ) {
        return slot;
      }
      slot = (slot + 1) & (this.slots - 1);
    }
    return slot;
  }
}

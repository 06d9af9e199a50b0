/**
 * How many bytes of each stretch of the log are still needed. The log can be cut before the first
 * stretch that holds a live message; and when little of the whole is live, the oldest stretch is the
 * one to copy forward.
 */
const REGION_BYTES = 8 * 1024 * 1024;

export class Regions {
  private live: number[] = [];
  private first = 0;
  liveBytes = 0;
  readonly regionBytes: number;

  constructor(regionBytes = REGION_BYTES) {
    this.regionBytes = regionBytes;
  }

  add(position: number, bytes: number): void {
    const region = Math.floor(position / this.regionBytes);
    if (this.live.length === 0) this.first = region;
    while (region < this.first) {
      this.live.unshift(0);
      this.first--;
    }
    const index = region - this.first;
    while (this.live.length <= index) this.live.push(0);
    this.live[index] = (this.live[index] as number) + bytes;
    this.liveBytes += bytes;
  }

  remove(position: number, bytes: number): void {
    const index = Math.floor(position / this.regionBytes) - this.first;
    this.live[index] = (this.live[index] as number) - bytes;
    this.liveBytes -= bytes;
  }

  /** Start of the oldest stretch with live bytes, or -1 when there is none. */
  oldestLive(): number {
    let dead = 0;
    while (dead < this.live.length && this.live[dead] === 0) dead++;
    if (dead > 0) {
      this.live.splice(0, dead);
      this.first += dead;
    }
    return this.live.length === 0 ? -1 : this.first * this.regionBytes;
  }
}

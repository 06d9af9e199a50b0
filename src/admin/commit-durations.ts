/** From a round that only reaches the page cache to a disk that stalls. */
export const COMMIT_BUCKETS_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

/** How long commit rounds took. Counted from the first on; what shows it is loaded when somebody looks. */
export class CommitDurations {
  /** Rounds by the bucket they fall into; the last are those longer than any. */
  readonly counts = new Float64Array(COMMIT_BUCKETS_SECONDS.length + 1);
  sumSeconds = 0;

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < COMMIT_BUCKETS_SECONDS.length && seconds > COMMIT_BUCKETS_SECONDS[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sumSeconds += seconds;
  }
}

import type { Timer } from "../../../base/clock.ts";
import { BrokerError } from "../../../base/errors.ts";
import type { Task } from "../../../base/turn.ts";
import type { Leased, LeaseHandle, LeaseWaiter, SharePolicy } from "../../../broker/index.ts";
import type { Call } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { CODES, codeOf } from "../errors.ts";
import type { shareFetch } from "../schemas/share-fetch.ts";
import { LAST_REQUEST, type SharePartition, type ShareSession, type ShareSessions } from "./sessions.ts";
import { leaseOf, settle, sharePolicy } from "./verdicts.ts";

type Answer = Response<typeof shareFetch>;
type PartitionAnswer = NonNullable<
  NonNullable<NonNullable<Answer["responses"]>[number]>["partitions"]
>[number];

/** Records at once are leased strictly as many as asked for, and not by whole batches. */
const STRICT_MODE = 1;

/** What is told of one partition. */
interface Told {
  errorCode?: number;
  acknowledgeErrorCode?: number;
  records?: Buffer;
  ranges?: Leased["ranges"];
}

/** One fetch of a member: carries out its verdicts, then leases what there is, or waits for something. */
export class ShareFetchWork implements LeaseWaiter, Task {
  scheduled = false;
  private readonly call: Call<typeof shareFetch>;
  private readonly request: Request<typeof shareFetch>;
  private readonly session: ShareSession;
  private readonly sessions: ShareSessions;
  private readonly policy: SharePolicy;
  private readonly told = new Map<string, SharePartition & Told>();
  private readonly waitedFor = new Set<LeaseHandle>();
  private records = 0;
  private bytes = 0;
  private timer: Timer | null = null;
  private taking = false;
  private over = false;
  private forget: () => void = () => {};

  constructor(
    call: Call<typeof shareFetch>,
    request: Request<typeof shareFetch>,
    session: ShareSession,
    sessions: ShareSessions,
  ) {
    this.call = call;
    this.request = request;
    this.session = session;
    this.sessions = sessions;
    this.policy = sharePolicy(call.peer, session.group);
  }

  start(): void {
    const { request, session, call } = this;
    const last = request.shareSessionEpoch === LAST_REQUEST;
    for (const { topicId, partitions } of request.topics) {
      for (const { partitionIndex, acknowledgementBatches } of partitions) {
        if (!last) session.add(topicId, partitionIndex);
        if (acknowledgementBatches.length === 0) continue;
        const lease = this.lease({ topicId, index: partitionIndex });
        const code =
          typeof lease === "number" ? lease : settle(lease, session, acknowledgementBatches, call.version);
        this.tell({ topicId, index: partitionIndex }, { acknowledgeErrorCode: code });
      }
    }
    for (const { topicId, partitions } of request.forgottenTopicsData) {
      for (const index of partitions) session.remove(topicId, index);
    }
    if (last) this.sessions.close(session);
    if (last || request.isRenewAck) this.finish();
    else {
      this.forget = call.peer.onClosed(() => this.finish());
      this.take();
    }
  }

  /** There may be something now. What else comes in this turn is taken together. */
  leasable(): void {
    if (!this.over && !this.taking) this.call.node.context.turn.soon(this);
  }

  run(): void {
    if (!this.over && !this.taking) this.take();
  }

  private take(): void {
    this.taking = true;
    this.takeAll().then(
      () => {
        this.taking = false;
        // Its member went while records were read for it.
        if (this.sessions.isOver(this.session)) this.session.releaseLeases();
        const { size } = this.told;
        if (this.records > 0 || (size > 0 && this.timer === null) || this.request.maxWaitMs <= 0)
          this.finish();
        else this.wait();
      },
      (error: unknown) => {
        this.stop();
        this.call.fail(error);
      },
    );
  }

  private async takeAll(): Promise<void> {
    const { request, session } = this;
    for (const partition of [...session.partitions.values()]) {
      const recordsLeft = request.maxRecords - this.records;
      const bytesLeft = this.bytesMax - this.bytes;
      if (this.over || recordsLeft <= 0 || bytesLeft <= 0) return;
      const lease = this.lease(partition);
      if (typeof lease === "number") this.tell(partition, { errorCode: lease });
      else await this.takeFrom(lease, partition, recordsLeft, bytesLeft);
    }
  }

  private async takeFrom(
    lease: LeaseHandle,
    partition: SharePartition,
    recordsLeft: number,
    bytesLeft: number,
  ): Promise<void> {
    const strict = this.request.shareAcquireMode === STRICT_MODE;
    try {
      const taken = lease.take(this.session.member, recordsLeft, bytesLeft, strict);
      const leased = taken instanceof Promise ? await taken : taken;
      if (leased === null) return;
      const { ranges, pieces, bytes } = leased;
      // Copied at once: what lies in memory is valid in this turn only.
      const records = Buffer.concat(pieces.map((piece) => piece.bytes.subarray(piece.start, piece.end)));
      leased.release();
      for (const { first, last } of ranges) this.records += last - first + 1;
      this.bytes += bytes;
      this.tell(partition, { records, ranges });
      this.session.served(partition);
    } catch (error) {
      this.tell(partition, {
        errorCode: error instanceof BrokerError ? codeOf(error) : CODES.KAFKA_STORAGE_ERROR,
      });
    }
  }

  private get bytesMax(): number {
    return Math.min(this.request.maxBytes, this.call.allowanceBytes);
  }

  private lease({ topicId, index }: SharePartition): LeaseHandle | number {
    return leaseOf(this.call.peer, this.session.group, topicId, index, this.policy);
  }

  private wait(): void {
    if (this.over) return;
    this.timer ??= this.call.node.context.clock.setTimer(this.request.maxWaitMs, () => this.finish());
    for (const partition of this.session.partitions.values()) {
      const lease = this.lease(partition);
      if (typeof lease === "number" || this.waitedFor.has(lease)) continue;
      this.waitedFor.add(lease);
      lease.wait(this);
    }
  }

  private stop(): void {
    this.over = true;
    this.timer?.cancel();
    this.forget();
    for (const lease of this.waitedFor) lease.cancelWait(this);
  }

  /** Verdicts are answered when they are durable. */
  private finish(): void {
    if (this.over || this.taking) return;
    this.stop();
    const { counters } = this.call.node.context.broker;
    counters.streamRecordsRead += this.records;
    counters.streamBytesRead += this.bytes;
    const answer = this.answer();
    this.call.peer.session.shares.durable(() => this.call.answer(answer));
  }

  private tell(partition: SharePartition, what: Told): void {
    const key = `${partition.topicId}/${partition.index}`;
    this.told.set(key, { ...partition, ...this.told.get(key), ...what });
  }

  private answer(): Answer {
    const topics = new Map<string, PartitionAnswer[]>();
    for (const { topicId, index, errorCode, acknowledgeErrorCode, records, ranges } of this.told.values()) {
      const partition: PartitionAnswer = {
        partitionIndex: index,
        errorCode: errorCode ?? CODES.NONE,
        acknowledgeErrorCode: acknowledgeErrorCode ?? CODES.NONE,
        records: records === undefined ? null : { bytes: records, start: 0, end: records.length },
        acquiredRecords: (ranges ?? []).map(({ first, last, deliveries }) => {
          return { firstOffset: first, lastOffset: last, deliveryCount: deliveries };
        }),
      };
      const others = topics.get(topicId);
      if (others === undefined) topics.set(topicId, [partition]);
      else others.push(partition);
    }
    return {
      acquisitionLockTimeoutMs: this.policy.leaseMs,
      responses: Array.from(topics, ([topicId, partitions]) => ({ topicId, partitions })),
    };
  }
}

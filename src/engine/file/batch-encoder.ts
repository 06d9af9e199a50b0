/** Turns a batch into the buffers that are written, copying small pieces together and leaving large ones where they are. */
import { crc32c } from "../../base/crc32c.ts";
import type { Batch } from "../engine.ts";
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  SEGMENT_HEADER_BYTES,
  writeBatchHeader,
  writeSegmentHeader,
} from "./batch-format.ts";

/** From this size on a vector of its own costs less than a copy. */
const COPY_BYTES_MAX = 16 * 1024;
const NO_BYTES = new Uint8Array(0);
const STAGING_BYTES_MIN = 64 * 1024;
/** Staging memory is kept between rounds up to this size. */
const STAGING_BYTES_KEPT = 2 << 20;

export interface SegmentBegin {
  readonly logId: number;
  readonly epoch: number;
  readonly base: number;
}

export interface EncodedBatch {
  readonly buffers: readonly Uint8Array[];
  readonly bytes: number;
}

export class BatchEncoder {
  private staging = NO_BYTES;
  private readonly ownBuffers: boolean;
  private readonly keepsStaging: boolean;

  /** `ownBuffers`: everything is copied into fresh memory that outlives the giver's. Otherwise what
   *  `encode` returns is valid until it is called again. `keepsStaging`: memory is kept for the next time. */
  constructor(ownBuffers: boolean, keepsStaging: boolean) {
    this.ownBuffers = ownBuffers;
    this.keepsStaging = keepsStaging && !ownBuffers;
  }

  /** `header.bodiesCrc` is set here. `begin` puts a segment header in front. @throws RangeError when the batch contradicts itself */
  encode(batch: Batch, header: BatchHeader, begin: SegmentBegin | null): EncodedBatch {
    const lead = (begin === null ? 0 : SEGMENT_HEADER_BYTES) + BATCH_HEADER_BYTES;
    const copyMax = this.ownBuffers ? Number.POSITIVE_INFINITY : COPY_BYTES_MAX;
    const staging = this.reserve(lead + this.stagedBytes(batch, copyMax));
    const buffers: Uint8Array[] = [];
    let runStart = 0;
    let at = lead;
    let crc = 0;
    let crcFrom = lead;
    let bodyBytes = 0;
    for (const body of batch.bodies) {
      bodyBytes += body.length;
      if (body.length <= copyMax) {
        staging.set(body, at);
        at += body.length;
        continue;
      }
      crc = crc32c(body, 0, body.length, crc32c(staging, crcFrom, at, crc));
      buffers.push(staging.subarray(runStart, at), body);
      runStart = crcFrom = at;
    }
    header.bodiesCrc = crc32c(staging, crcFrom, at, crc);
    if (bodyBytes !== batch.bodyBytes) {
      throw new RangeError(`a batch of ${bodyBytes} body bytes says that it has ${batch.bodyBytes}`);
    }
    if (batch.heads.length <= copyMax) {
      staging.set(batch.heads, at);
      at += batch.heads.length;
      if (at > runStart) buffers.push(staging.subarray(runStart, at));
    } else {
      if (at > runStart) buffers.push(staging.subarray(runStart, at));
      buffers.push(batch.heads);
    }
    if (begin !== null) writeSegmentHeader(staging, begin.logId, begin.epoch, begin.base);
    writeBatchHeader(staging.subarray(lead - BATCH_HEADER_BYTES, lead), header, batch.heads);
    return { buffers, bytes: lead + bodyBytes + batch.heads.length };
  }

  private stagedBytes(batch: Batch, copyMax: number): number {
    let bytes = batch.heads.length <= copyMax ? batch.heads.length : 0;
    for (const body of batch.bodies) if (body.length <= copyMax) bytes += body.length;
    return bytes;
  }

  private reserve(bytes: number): Uint8Array {
    if (!this.keepsStaging || bytes > STAGING_BYTES_KEPT) return Buffer.allocUnsafe(bytes);
    if (bytes > this.staging.length) {
      let size = Math.max(STAGING_BYTES_MIN, this.staging.length);
      while (size < bytes) size *= 2;
      this.staging = new Uint8Array(size);
    }
    return this.staging;
  }
}

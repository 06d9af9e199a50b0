import { RecordView } from "../message/record.ts";
import type { Delivery } from "./types.ts";

/** The one delivery that a shard fills anew for each message. */
export class MutableDelivery implements Delivery {
  readonly record = new RecordView();
  id = 0;
  expiresAt = 0;
  priority = 0;
  tag = 0;
  redelivered = false;
  deliveryCount = 0;
  queue = "";
  streamOffset = -1;
  streamPartition = -1;

  get retained(): boolean {
    return this.record.retained;
  }
}

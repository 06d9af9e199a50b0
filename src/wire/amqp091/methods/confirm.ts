import type { Channel } from "../channel.ts";
import type { MethodArguments } from "../codec/method.ts";
import { AmqpError } from "../errors.ts";

export function confirmSelect(channel: Channel, args: MethodArguments<"confirm.select">): void {
  if (channel.transaction !== null) {
    throw new AmqpError("PRECONDITION_FAILED", "cannot switch from tx to confirm mode");
  }
  channel.startConfirms();
  channel.reply(args.nowait, "confirm.select-ok", {});
}

import { describe, expect, it } from "vitest";
import type { Outbox } from "../../net/outbox.ts";
import { Acks, SEND_PUBACK, SEND_PUBREC } from "./acks.ts";

/** Collects what is written. */
function outbox() {
  const bytes = new Uint8Array(1 << 16);
  let used = 0;
  const written = {
    bytes,
    reserve: () => used,
    advance(count: number) {
      used += count;
    },
    copy(source: Uint8Array, offset: number, length: number) {
      bytes.set(source.subarray(offset, offset + length), used);
      used += length;
    },
  };
  return {
    outbox: written as unknown as Outbox,
    take: () => Buffer.from(bytes.subarray(0, used)).toString("hex"),
  };
}

describe("Acks", () => {
  it("go out at once when nothing is waited for, with a reason where there is one", () => {
    const { outbox: out, take } = outbox();
    const acks = new Acks(
      out,
      () => {},
      () => 0,
    );
    acks.add(SEND_PUBACK, 1, 0, false);
    acks.add(SEND_PUBREC, 0x1234, 0x10, false);
    expect(take()).toBe("40020001" + "5003123410");
  });

  it("keep the order of their packets over commits", () => {
    const { outbox: out, take } = outbox();
    const sent: number[] = [];
    const acks = new Acks(
      out,
      (_first, packetId) => sent.push(packetId),
      () => 0,
    );
    acks.add(SEND_PUBACK, 1, 0, true);
    acks.add(SEND_PUBACK, 2, 0, false);
    acks.assign(7);
    acks.add(SEND_PUBACK, 3, 0, true);
    acks.assign(8);
    acks.committed(6, false);
    expect(sent).toEqual([]);
    acks.committed(7, false);
    expect(sent).toEqual([1, 2]);
    acks.committed(8, false);
    expect(sent).toEqual([1, 2, 3]);
    expect(take()).toBe("400200014002000240020003");
  });

  it("say what was lost, and only that", () => {
    const { outbox: out, take } = outbox();
    const lost: number[] = [];
    const acks = new Acks(
      out,
      () => {},
      (_first, packetId) => (lost.push(packetId) < 3 ? 0x83 : -1),
    );
    acks.add(SEND_PUBACK, 1, 0, true);
    acks.add(SEND_PUBACK, 2, 0, true, true);
    acks.assign(7);
    acks.add(SEND_PUBREC, 3, 0, true, true);
    acks.assign(8);
    acks.committed(7, true);
    expect(take()).toBe("40020001" + "4003000283");
    acks.committed(8, false);
    expect(take()).toBe("40020001" + "4003000283" + "50020003");
    acks.add(SEND_PUBREC, 4, 0, true, true);
    acks.add(SEND_PUBACK, 5, 0, true, true);
    acks.add(SEND_PUBACK, 6, 0, true, true);
    acks.assign(9);
    acks.committed(9, true);
    // The connection ends with the third: nothing is said any more.
    expect(take().endsWith("5003000483")).toBe(true);
    expect(lost).toEqual([2, 4, 5]);
  });

  it("wait by the thousand", () => {
    const { outbox: out } = outbox();
    const sent: number[] = [];
    const acks = new Acks(
      out,
      (_first, packetId) => sent.push(packetId),
      () => 0,
    );
    for (let batch = 1; batch <= 50; batch++) {
      for (let i = 0; i < 100; i++) acks.add(SEND_PUBACK, batch * 100 + i, 0, i % 3 !== 0);
      acks.assign(batch);
      if (batch % 7 === 0) acks.committed(batch - 3, false);
    }
    acks.committed(50, false);
    expect(sent).toEqual(Array.from({ length: 5000 }, (_, i) => i + 100));
  });
});

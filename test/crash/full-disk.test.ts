// A disk of 48 MiB that is filled by publishing. Needs to be allowed to mount one; skips otherwise.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "amqplib";
import { afterAll, describe, expect, test } from "vitest";
import { PolymqProcess } from "../support/polymq-process.ts";

const BODY_BYTES = 16 * 1024;
const directory = mkdtempSync(join(tmpdir(), "polymq-full-"));
const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=48m", "tmpfs", directory]).status === 0;

afterAll(() => {
  if (mounted) spawnSync("umount", ["-l", directory]);
  rmSync(directory, { recursive: true, force: true });
});

function body(number: number): Buffer {
  const bytes = Buffer.alloc(BODY_BYTES, number & 0xff);
  bytes.writeUInt32BE(number, 0);
  return bytes;
}

const until = async (what: string, condition: () => boolean): Promise<void> => {
  for (let i = 0; i < 600; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${what}`);
};

describe.skipIf(!mounted)("a full disk", () => {
  // With a margin the alarm comes first; without one the disk itself says no.
  test.each(["8MiB", "0"])(
    "holds publishers, lets consumers drain, loses nothing, and ends by itself (margin %s)",
    async (margin) => {
      const dataDir = join(directory, `data-${margin}`);
      const broker = await PolymqProcess.start({ dataDir, args: ["--disk-free-min", margin] });
      const publisher = await connect(broker.url);
      const reasons: string[] = [];
      let blocked = false;
      publisher.on("blocked", (reason: string) => {
        reasons.push(reason);
        blocked = true;
      });
      publisher.on("unblocked", () => {
        blocked = false;
      });
      const out = await publisher.createConfirmChannel();
      await out.assertQueue("full", { durable: true });
      const confirmed = new Set<number>();
      let next = 0;
      const publish = (): void => {
        const number = ++next;
        out.sendToQueue("full", body(number), { persistent: true }, (error) => {
          if (error === null || error === undefined) confirmed.add(number);
        });
      };
      while (!blocked && next < 20_000) {
        for (let i = 0; i < 20; i++) publish();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await until("the publisher to be blocked", () => blocked);
      expect(reasons[0]).toMatch(/disk|storage|space/i);
      // What is sent while blocked waits.
      for (let i = 0; i < 50; i++) publish();
      const before = confirmed.size;
      await new Promise((resolve) => setTimeout(resolve, 500));

      const consumer = await connect(broker.url);
      const into = await consumer.createChannel();
      await into.prefetch(100);
      const received: number[] = [];
      await into.consume("full", (message) => {
        if (message === null) return;
        received.push(message.content.readUInt32BE(0));
        into.ack(message);
      });
      await until("consumers to drain", () => received.length >= before);
      await until("publishing to go on", () => !blocked);
      await until("all to be confirmed", () => confirmed.size === next);
      publish();
      await until("all to be received", () => confirmed.size === next && received.length >= next);
      expect(received).toEqual(Array.from({ length: next }, (_, i) => i + 1));
      await consumer.close();
      await publisher.close();
      expect(await broker.stop()).toBe(0);
      rmSync(dataDir, { recursive: true, force: true });
    },
    90_000,
  );
});

// More connections than the system lets the process have open files.
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Client, eventually, getOne, publishAll } from "../support/client.ts";
import { PolymqProcess } from "../support/polymq-process.ts";

const OPEN_FILES_MAX = 100;
/** The rest is for the log, and for all else that is not a connection. */
const CONNECTIONS_MAX = 36;
const dataDir = mkdtempSync(join(tmpdir(), "polymq-open-files-"));
let broker: PolymqProcess | undefined;
afterAll(async () => {
  await broker?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

test.skipIf(process.platform !== "linux")(
  "more connections than files: what is too much is refused, who is connected goes on, and others can come later",
  async () => {
    const started = await PolymqProcess.start({ dataDir, openFilesMax: OPEN_FILES_MAX });
    broker = started;
    const client = new Client(started.url);
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { durable: true });
    let refused = 0;
    const sockets: Socket[] = Array.from({ length: 2 * OPEN_FILES_MAX }, () =>
      connect(Number(new URL(started.url).port), "127.0.0.1")
        .on("error", () => {})
        .on("close", () => refused++),
    );
    await eventually(() => refused === 2 * OPEN_FILES_MAX - CONNECTIONS_MAX + 1);
    expect(started.output).toContain("connection refused: too many connections");
    // Enough for a new file of the log.
    const large = "x".repeat(1 << 20);
    for (let i = 0; i < 24; i++) {
      await publishAll(channel, queue, [large], { persistent: true });
      await getOne(channel, queue);
    }
    for (const socket of sockets) socket.destroy();
    const other = new Client(started.url);
    await eventually(() => refused === sockets.length);
    await publishAll(await other.confirmChannel(), queue, ["later"], { persistent: true });
    await other.cleanUp();
    await client.cleanUp();
    expect(await started.stop()).toBe(0);
    expect(started.output).not.toContain("too many open files");
  },
);

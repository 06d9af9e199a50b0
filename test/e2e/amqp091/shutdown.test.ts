// What clients see when the broker stops, and that it keeps its word until the last moment.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChannelModel, type ConsumeMessage, connect } from "amqplib";
import { afterEach, expect, test } from "vitest";
import { startInProcess } from "../../support/broker.ts";
import { PolymqProcess } from "../../support/polymq-process.ts";

const SHUTDOWN = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "polymq-shutdown-"));
  directories.push(directory);
  return directory;
}

interface Closed {
  readonly code: number | undefined;
  readonly message: string;
}

/** How the broker ends the connection. */
function closeOf(connection: ChannelModel): Promise<Closed> {
  connection.on("error", () => {});
  return new Promise((resolve) => {
    connection.once("close", (error?: Error & { code?: number }) =>
      resolve({ code: error?.code, message: error?.message ?? "" }),
    );
  });
}

test.each([
  // Longer than a test may take: whoever was waited for in vain would be noticed.
  ["a grace", 600_000],
  ["no grace", 0],
])(
  "with %s every client is told 320 with RabbitMQ's text, and stopping waits for none that answers",
  async (_, shutdownGraceMs) => {
    const broker = await startInProcess({ shutdownGraceMs });
    const connections = await Promise.all(Array.from({ length: 3 }, () => connect(broker.amqp.url)));
    const closed = connections.map(closeOf);
    const channel = await connections[0]!.createChannel();
    await channel.assertQueue("q");
    await channel.consume("q", () => {});
    await broker.stop();
    for (const { code, message } of await Promise.all(closed)) {
      expect(code).toBe(320);
      expect(message).toContain(SHUTDOWN);
    }
    await expect(connect(broker.amqp.url)).rejects.toThrow("ECONNREFUSED");
  },
);

test("SIGTERM under load: nothing that was confirmed is missing after the next start", async () => {
  const dataDir = freshDirectory();
  const broker = await PolymqProcess.start({ dataDir });
  const confirmed = new Set<string>();
  const publishers = await Promise.all(
    Array.from({ length: 3 }, async (_, publisher) => {
      const connection = await connect(broker.url);
      const closed = closeOf(connection);
      const channel = await connection.createConfirmChannel();
      channel.on("error", () => {});
      await channel.assertQueue("load");
      let [published, open] = [0, 0];
      let running = true;
      closed.then(() => {
        running = false;
      });
      const burst = () => {
        if (!running) return;
        while (open < 300) {
          open++;
          const id = `${publisher}.${published++}`;
          channel.sendToQueue("load", Buffer.from(id), { persistent: true }, (error) => {
            open--;
            if (!error) confirmed.add(id);
          });
        }
        setImmediate(burst);
      };
      burst();
      return { closed };
    }),
  );
  while (confirmed.size < 2000) await new Promise(setImmediate);
  expect(await broker.stop()).toBe(0);
  for (const { code, message } of await Promise.all(publishers.map(({ closed }) => closed))) {
    expect(code).toBe(320);
    expect(message).toContain(SHUTDOWN);
  }

  await broker.start();
  const connection = await connect(broker.url);
  const channel = await connection.createChannel();
  const missing = new Set(confirmed);
  const { messageCount } = await channel.checkQueue("load");
  let read = 0;
  await new Promise<void>((resolve) => {
    const take = (message: ConsumeMessage | null) => {
      missing.delete(message?.content.toString() ?? "");
      if (++read === messageCount) resolve();
    };
    channel.consume("load", take, { noAck: true });
  });
  expect(confirmed.size).toBeGreaterThan(2000);
  expect([...missing]).toEqual([]);
  await connection.close();
  await broker.stop();
});

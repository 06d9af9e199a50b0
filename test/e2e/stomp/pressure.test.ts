// More than there is room for: in the broker, and at a client that does not read.
import { connect } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { startServer } from "../../support/broker.ts";
import { eventually } from "../../support/client.ts";
import { StompClient } from "../../support/stomp-client.ts";

const MiB = 1024 * 1024;
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  vi.restoreAllMocks();
});

async function start(options: Record<string, string> = {}) {
  const { broker, port, stop } = await startServer({ stompPort: "0", ...options });
  cleanUps.push(stop);
  return { broker, port: port("stomp") as number, url: `stomp://127.0.0.1:${port("stomp")}` };
}

async function client(url: string): Promise<StompClient> {
  const connected = await StompClient.connect(url);
  cleanUps.push(() => connected.destroy());
  return connected;
}

test("an alarm holds who sends, and lets consumers drain", async () => {
  const resident = vi.spyOn(process.memoryUsage, "rss").mockReturnValue(100 * MiB);
  const { broker, url } = await start({ memoryBudget: "16MiB", memoryHighWatermark: "1GiB" });
  const [sender, consumer] = [await client(url), await client(url)];
  const destination = "/queue/alarmed";
  await sender.ask("SEND", { destination }, "1");
  resident.mockReturnValue(2048 * MiB);
  await eventually(() => broker.alarm, "the alarm");
  // The one that makes the broker stop reading is taken; those behind it wait in the socket.
  await sender.ask("SEND", { destination }, "2");
  const held = sender.ask("SEND", { destination }, "3");
  await consumer.ask("SUBSCRIBE", { id: "c", destination, ack: "client" });
  for (const body of ["1", "2"]) {
    const frame = await consumer.next();
    expect(`${frame.body}`).toBe(body);
    consumer.send("ACK", { id: frame.headers.ack as string });
  }
  await eventually(() => broker.stats().messagesUnacked === 0, "the acknowledgements");
  expect([consumer.unread, broker.stats().messagesReady]).toEqual([0, 0]);
  resident.mockReturnValue(100 * MiB);
  await held;
  expect(`${(await consumer.next()).body}`).toBe("3");
});

test("who does not read holds nobody else, and gets everything once it reads", async () => {
  const { broker, port, url } = await start();
  const COUNT = 2000;
  const body = Buffer.alloc(16 * 1024, "x");
  const slow = connect(port, "127.0.0.1");
  cleanUps.push(() => slow.destroy());
  slow.write("CONNECT\naccept-version:1.2\nhost:/\n\n\0SUBSCRIBE\nid:s\ndestination:/topic/flood\n\n\0");
  slow.pause();
  await eventually(() => broker.stats().consumers === 1, "the subscription");
  const [quick, sender] = [await client(url), await client(url)];
  await quick.ask("SUBSCRIBE", { id: "q", destination: "/topic/flood" });
  for (let i = 1; i < COUNT; i++) sender.send("SEND", { destination: "/topic/flood" }, body);
  sender.send("SEND", { destination: "/topic/flood" }, "the end");
  for (let i = 0; i < COUNT; i++) await quick.next();
  // It waits in the queue, not in the connection's output.
  expect(broker.stats().messagesReady).toBeGreaterThan(COUNT / 4);
  let received = 0;
  const end = new Promise<void>((resolve) => {
    slow.on("data", (chunk) => {
      received += chunk.length;
      if (chunk.includes("the end")) resolve();
    });
  });
  slow.resume();
  await end;
  expect(received).toBeGreaterThan((COUNT - 1) * body.length);
});

import { afterAll, expect, test } from "vitest";
import { startBroker } from "../../../src/index.ts";
import { StompClient } from "../../support/stomp-client.ts";

const broker = await startBroker({ stomp: { port: 0 }, stompActivemq: { port: 0 } });
afterAll(() => broker.stop());

/** What a destination that only ActiveMQ knows is answered with. */
async function bareName(url: string): Promise<string> {
  const client = await StompClient.connect(url);
  client.send("SEND", { destination: "bare-name", receipt: "r" }, "x");
  const { command } = await client.next();
  client.destroy();
  return command;
}

test("two listeners speak RabbitMQ's dialect and ActiveMQ's side by side", async () => {
  expect(await bareName(broker.stomp!.url)).toBe("ERROR");
  expect(broker.stompActivemq!.url).toMatch(/^stomp:\/\/guest:guest@/);
  expect(await bareName(broker.stompActivemq!.url)).toBe("RECEIPT");
});

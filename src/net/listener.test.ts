import { afterEach, expect, it } from "vitest";
import { silentLogger } from "../base/logger.ts";
import type { ConnectionBudget } from "./entrance.ts";
import { Client, closeAll, echo, listen } from "./testing/echo.ts";
import type { ConnectionAcceptor } from "./transport.ts";

afterEach(closeAll);

it("runs out of output memory for one connection at the cost of that one", async () => {
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (_fields: object, message: string) => errors.push(message) };
  const listener = await listen(undefined, { logger });
  const [quiet, greedy] = [new Client(listener), new Client(listener)];
  await quiet.says("hello");
  await greedy.says("hello");
  greedy.socket.write("many");
  await greedy.gone;
  expect(errors).toHaveLength(1);
  expect(errors[0]).toContain("no memory left for output");
  await quiet.says("still here");
  await new Client(listener).says("and others");
  expect(listener.connectionCount).toBe(2);
});

it("counts connections over all listeners that share a budget", async () => {
  const budget: ConnectionBudget = { open: 0, max: 2 };
  const [first, second] = [await listen(undefined, { budget }), await listen(undefined, { budget })];
  const [one, two] = [new Client(first), new Client(second)];
  await one.says("one");
  await two.says("two");
  await new Client(first).gone;
  await new Client(second).gone;
  one.socket.destroy();
  while (budget.open > 1) await new Promise(setImmediate);
  await new Client(second).says("room again");
  expect(budget.open).toBe(2);
});

it("closes: accepts nobody, lets everybody say goodbye, and has nothing left", async () => {
  const budget: ConnectionBudget = { open: 0, max: 100 };
  const listener = await listen(undefined, { budget });
  const client = new Client(listener);
  await client.says("hello");
  await listener.close(5000);
  await client.gone;
  expect(client.heard).toBe("hellobye");
  expect([listener.connectionCount, budget.open]).toEqual([0, 0]);
  const late = new Client(listener);
  await late.gone;
  expect(late.heard).toBe("");
});

it("lets everybody say goodbye without a grace as well, and though the process stood still meanwhile", async () => {
  const thoughtful: ConnectionAcceptor = {
    ...echo,
    accept: (transport) => {
      const handler = echo.accept(transport);
      const goodbye = handler.shutdown.bind(handler);
      return Object.assign(handler, { shutdown: () => setImmediate(() => setImmediate(goodbye)) });
    },
  };
  const listener = await listen({ kind: "plain", protocols: [{ acceptor: thoughtful }] });
  const client = new Client(listener);
  await client.says("hello");
  const closed = listener.close(0);
  for (const end = performance.now() + 200; performance.now() < end; );
  await closed;
  await client.gone;
  expect(client.heard).toBe("hellobye");
});

it("cuts who does not go within the grace", async () => {
  const stubborn: ConnectionAcceptor = {
    ...echo,
    accept: (transport) => Object.assign(echo.accept(transport), { shutdown: () => {} }),
  };
  const listener = await listen({ kind: "plain", protocols: [{ acceptor: stubborn }] });
  const client = new Client(listener);
  await client.says("hello");
  await listener.close(20);
  await client.gone;
  expect(listener.connectionCount).toBe(0);
});

it("does not wait for a TLS handshake that never ends", async () => {
  const listener = await listen({ kind: "plain", protocols: [{ acceptor: echo }], tls: {} });
  const client = new Client(listener);
  await new Promise((resolve) => client.socket.once("connect", resolve));
  await listener.close(0);
  await client.gone;
});

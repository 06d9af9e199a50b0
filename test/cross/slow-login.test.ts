// A login that takes the broker longer than a client may take for its handshake.
import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { startServer } from "../support/broker.ts";
import { RawMqtt } from "../support/mqtt-raw.ts";
import { RawConnection } from "../support/raw-connection.ts";
import { StompClient } from "../support/stomp-client.ts";

const server = await startServer({ mqttPort: "0", stompPort: "0", handshakeTimeout: "1s" });

test("counts against nobody", { timeout: 60_000 }, async () => {
  const { broker } = server;
  const { access } = broker;
  const authenticate = access.authenticate.bind(access);
  let asked = 0;
  let goOn: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  access.authenticate = async (credentials) => {
    asked++;
    await gate;
    return authenticate(credentials);
  };
  const [mqttPort, stompPort] = [server.port("mqtt"), server.port("stomp")];
  const guest = { username: "guest", password: Buffer.from("guest") };
  const logins = [
    RawConnection.open(`amqp://${server.address}`),
    RawMqtt.connect(`mqtt://127.0.0.1:${mqttPort}`, guest),
    StompClient.connect(`stomp://127.0.0.1:${stompPort}`),
  ];
  for (const login of logins) login.catch(() => {});
  await expect.poll(() => asked).toBe(logins.length);
  // Who came later and says nothing has used up his time: so would they have.
  const ports = [Number(server.address.split(":")[1]), mqttPort as number, stompPort as number];
  await Promise.all(ports.map((port) => once(connect(port, "127.0.0.1").resume(), "close")));
  goOn();
  for (const { status } of await Promise.allSettled(logins)) expect(status).toBe("fulfilled");
  await server.stop();
});

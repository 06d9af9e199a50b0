// MQTT over TLS, and over WebSocket over TLS: who shows a certificate is who it names.
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { startServer } from "../../support/broker.ts";
import { type Certificates, makeCertificates } from "../../support/certificates.ts";

const certificates = makeCertificates(["ann", "nobody"], ["mallory"]);

describe.skipIf(certificates === null)("MQTT over TLS", async () => {
  if (certificates === null) return;
  const { options, client }: Certificates = certificates;
  const ports = { mqttsPort: "0", wssPort: "0", sharedPort: "0" };
  const { broker, port, stop } = await startServer({ ...ports, ...options, mqttAnonymousUser: "off" });
  afterAll(stop);
  await broker.access.putUser("ann", null, []);
  broker.access.setPermissions("ann", "/", { configure: ".*", write: ".*", read: ".*" });
  broker.access.setTopicPermissions("ann", "/", "amq.topic", { write: "^ann\\.", read: "^ann\\." });
  const clients: MqttClient[] = [];
  afterEach(async () => {
    for (const one of clients.splice(0)) await one.endAsync(true);
  });

  const urls = {
    mqtts: `mqtts://localhost:${port("mqtts")}`,
    wss: `wss://localhost:${port("wss")}/mqtt`,
    "TLS on the shared port": `mqtts://localhost:${port("shared")}`,
    "wss on the shared port": `wss://localhost:${port("shared")}/mqtt`,
  };
  const GUEST = { username: "guest", password: "guest" };

  async function dial(url: string, name?: string, more: IClientOptions = {}): Promise<MqttClient> {
    const tls = client(name);
    const common = { reconnectPeriod: 0, connectTimeout: 5000, protocolVersion: 5 as const };
    const connected = await connectAsync(url, { ...common, ...tls, wsOptions: tls, ...more }, false);
    clients.push(connected);
    return connected;
  }

  /** What comes back to one who publishes. */
  async function echoed(who: MqttClient, topic: string, payload: Buffer): Promise<Buffer> {
    const came = new Promise<Buffer>((resolve) => who.once("message", (_, body) => resolve(body)));
    await who.subscribeAsync(topic, { qos: 1 });
    await who.publishAsync(topic, payload, { qos: 1 });
    return came;
  }

  describe.each(Object.entries(urls))("%s", (_, url) => {
    test.each([4, 5] as const)(
      "a login, and messages small and large, version %i",
      async (protocolVersion) => {
        const guest = await dial(url, undefined, { ...GUEST, protocolVersion });
        for (const size of [0, 1, 16_384, 700_000]) {
          const payload = Buffer.alloc(size, size % 251);
          expect((await echoed(guest, `sealed/${size}`, payload)).equals(payload)).toBe(true);
        }
      },
    );

    test("a certificate is a login, with what its user may do", async () => {
      const ann = await dial(url, "ann");
      expect(`${await echoed(ann, "ann/a", Buffer.from("mine"))}`).toBe("mine");
      await expect(ann.publishAsync("bob/a", "not mine", { qos: 1 })).rejects.toThrow(/Not authorized/);
      await expect(ann.subscribeAsync("bob/#")).rejects.toThrow();
    });

    test("a name and a password count more than a certificate", async () => {
      const guest = await dial(url, "ann", GUEST);
      expect(`${await echoed(guest, "bob/a", Buffer.from("guest's"))}`).toBe("guest's");
      await expect(dial(url, "ann", { username: "guest", password: "wrong" })).rejects.toThrow();
    });

    test.each([
      ["none", undefined],
      ["one that names no user", "nobody"],
      ["one of an unknown authority", "mallory"],
    ])("without a login, and with %s, nobody is let in", async (_name, name) => {
      await expect(dial(url, name)).rejects.toThrow();
    });
  });

  test("who does not trust the broker goes away, and who speaks in the clear gets nowhere", async () => {
    const untrusting = { ...GUEST, reconnectPeriod: 0, connectTimeout: 2000 };
    await expect(connectAsync(urls.mqtts, untrusting, false)).rejects.toThrow(/certificate|unable to verify/);
    const plain = urls.mqtts.replace("mqtts:", "mqtt:");
    await expect(connectAsync(plain, untrusting, false)).rejects.toThrow();
    await dial(urls.mqtts, undefined, GUEST);
  });
});

// A client of one protocol asks, a service of another answers: every ordered pair. Neither knows of the
// other's protocol: a service sends its answer where the request says, with the request's correlation id.
import { afterAll, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import type { Peer } from "./peer.ts";
import { amqpPeer } from "./peers/amqp.ts";
import { kafkaPeer } from "./peers/kafka.ts";
import { mqttPeer } from "./peers/mqtt.ts";
import { stompPeer } from "./peers/stomp.ts";

const broker = await startBroker({
  engine: "memory:",
  amqp: { port: 0 },
  mqtt: { port: 0 },
  stomp: { port: 0 },
  kafka: { port: 0 },
});
const peers: readonly Peer[] = await Promise.all([
  amqpPeer(broker.amqp.url),
  stompPeer(broker.stomp?.url as string),
  mqttPeer(broker.mqtt?.url as string),
  kafkaPeer(broker.kafka?.port as number, broker.amqp.url),
]);
afterAll(async () => {
  await Promise.all(peers.map((peer) => peer.close()));
  await broker.stop();
});

let addresses = 0;

for (const client of peers) {
  for (const [way, request] of Object.entries(client.ways)) {
    for (const service of peers) {
      test(`${client.name}, ${way}: ${service.name} answers`, async () => {
        const address = `cross.service.${++addresses}`;
        await service.serve(address, (body) => `${body} of course`);
        // Two at once: the correlation id tells the answers apart.
        const answers = await Promise.all([
          request(address, { body: "tea?", correlationId: "a:1\\ä" }),
          request(address, { body: "milk?", correlationId: "b 2" }),
        ]);
        expect(answers).toEqual([
          { body: "tea? of course", correlationId: "a:1\\ä" },
          { body: "milk? of course", correlationId: "b 2" },
        ]);
      });
    }
  }
}

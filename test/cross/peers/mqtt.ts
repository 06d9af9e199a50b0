import mqtt from "mqtt";
import { Answers, type Peer } from "../peer.ts";

const topicOf = (address: string): string => address.replaceAll(".", "/");
/** Nothing that a queue, or a Kafka topic, could be called. */
const REPLIES = "antworten an/gerät 7.a/ä_b%/";

/** MQTT 5, by MQTT.js. Before, there was no way to say where an answer goes. */
export async function mqttPeer(url: string): Promise<Peer> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5 });
  const answers = new Answers();
  const services = new Map<string, (body: string) => string>();
  client.on("message", (topic, payload, { properties }) => {
    const correlationData = properties?.correlationData as Buffer;
    const service = services.get(topic);
    if (service === undefined) {
      answers.arrived({ body: payload.toString(), correlationId: correlationData.toString() });
      return;
    }
    const options = { qos: 1, properties: { correlationData } } as const;
    client.publish(properties?.responseTopic as string, service(payload.toString()), options);
  });
  await client.subscribeAsync(REPLIES, { qos: 1 });
  return {
    name: "MQTT 5",
    ways: {
      "a response topic": (address, { body, correlationId }) => {
        const answer = answers.wait(correlationId);
        const properties = { responseTopic: REPLIES, correlationData: Buffer.from(correlationId) };
        client.publish(topicOf(address), body, { qos: 1, properties });
        return answer;
      },
    },
    async serve(address, answer) {
      services.set(topicOf(address), answer);
      await client.subscribeAsync(topicOf(address), { qos: 1 });
    },
    close: () => client.endAsync(),
  };
}

import { Kafka, type KafkaConfig, logLevel } from "kafkajs";
import { afterAll } from "vitest";
import { startInProcess } from "./broker.ts";

/** A broker with a Kafka port for one test file; it stops when the file is done. */
export async function useKafka(
  options: object = {},
): Promise<{ host: string; port: number; address: string }> {
  const broker = await startInProcess({ kafka: { port: 0 }, ...options });
  afterAll(() => broker.stop());
  if (broker.kafka === undefined) throw new Error("the broker has no Kafka port");
  const { host, port } = broker.kafka;
  return { host, port, address: `${host}:${port}` };
}

/** kafkajs without its log. Left to itself it gives a connection up that is not there after 1 s. */
export function kafkaJs(config: KafkaConfig): Kafka {
  const patience = { connectionTimeout: 60_000, authenticationTimeout: 60_000 };
  return new Kafka({ logLevel: logLevel.NOTHING, ...patience, ...config });
}

// Prints every reading since the beginning, and goes on with new ones. usage: node dashboard.mjs [READINGS]
import { Kafka, logLevel } from "kafkajs";

const wanted = Number(process.argv[2] ?? Number.POSITIVE_INFINITY);
const kafka = new Kafka({
  clientId: "dashboard",
  brokers: [process.env.KAFKA_BROKER ?? "127.0.0.1:9092"],
  logLevel: logLevel.ERROR,
});
const consumer = kafka.consumer({ groupId: `dashboard-${process.pid}` });
await consumer.connect();
await consumer.subscribe({ topic: "telemetry", fromBeginning: true });
let seen = 0;
await consumer.run({
  async eachMessage({ message }) {
    const { celsius } = JSON.parse(`${message.value}`);
    console.log(`${message.key}: ${celsius} °C`);
    if (++seen === wanted) setImmediate(() => consumer.disconnect());
  },
});

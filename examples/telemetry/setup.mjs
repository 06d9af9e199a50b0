// A stream that gets whatever devices publish below telemetry/.
import { connect } from "amqplib";

const connection = await connect(process.env.AMQP_URL ?? "amqp://127.0.0.1");
const channel = await connection.createChannel();
await channel.assertQueue("telemetry", { arguments: { "x-queue-type": "stream" } });
await channel.bindQueue("telemetry", "amq.topic", "telemetry.#");
await connection.close();
console.log("topic 'telemetry' is ready");

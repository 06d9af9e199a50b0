// Reads what is said in all rooms, and has it shown without the words that nobody wants to read.
import { connect } from "amqplib";

const RUDE = /\b(darn|heck)\b/gi;

const connection = await connect(process.env.AMQP_URL ?? "amqp://127.0.0.1");
const channel = await connection.createConfirmChannel();
await channel.assertQueue("moderator");
await channel.bindQueue("moderator", "amq.topic", "chat.*.said");
await channel.prefetch(100);
await channel.consume("moderator", (message) => {
  const { fields, content } = message;
  // MQTT's chat/tea/said is chat.tea.said here.
  const shown = fields.routingKey.replace(/said$/, "shown");
  const text = content.toString().replace(RUDE, (word) => "*".repeat(word.length));
  channel.publish("amq.topic", shown, Buffer.from(text), { persistent: true }, (error) => {
    if (error === null) channel.ack(message);
    else channel.nack(message);
  });
});
console.log("moderating");
process.on("SIGTERM", () => connection.close());
process.on("SIGINT", () => connection.close());

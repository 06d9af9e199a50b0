// node mqtt-pinger.mjs PORT: another client, which asks for a PINGRESP again and again until its input ends, and
// then prints how long it had to wait.
import { MqttClient } from "./mqtt-client.mjs";

const client = await MqttClient.open(Number(process.argv[2]), `pinger-${process.pid}`);
const waits = [];
let over = false;
process.stdin.resume().once("end", () => {
  over = true;
});
process.stdout.write("ready\n");
while (!over) {
  const asked = performance.now();
  await client.ping();
  waits.push(performance.now() - asked);
  await new Promise((resolve) => setTimeout(resolve, 1));
}
client.close();
waits.sort((a, b) => a - b);
const percentile = (share) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))];
console.log(JSON.stringify({ count: waits.length, p99: percentile(0.99), most: waits.at(-1) }));

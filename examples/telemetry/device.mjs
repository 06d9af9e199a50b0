// A device that reports its temperature. usage: node device.mjs NAME [READINGS]
import mqtt from "mqtt";

const [name = "device-1", readings = "10"] = process.argv.slice(2);
const client = await mqtt.connectAsync(process.env.MQTT_URL ?? "mqtt://127.0.0.1", { protocolVersion: 5 });
for (let n = 1; n <= Number(readings); n++) {
  const reading = { celsius: 20 + n, at: new Date().toISOString() };
  // QoS 1: the broker answers when the reading is stored.
  await client.publishAsync(`telemetry/${name}/temperature`, JSON.stringify(reading), {
    qos: 1,
    properties: { contentType: "application/json", userProperties: { "x-key": name } },
  });
}
await client.endAsync();
console.log(`${name}: ${readings} readings sent`);

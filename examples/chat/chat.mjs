/** Enters a room. `mqtt` is MQTT.js; `show` is called with each text. Resolves to a function that says one. */
export async function enter(mqtt, url, room, show) {
  const client = await mqtt.connectAsync(url, {
    protocolVersion: 5,
    username: "guest",
    password: "guest",
  });
  client.on("message", (_topic, payload) => show(new TextDecoder().decode(payload)));
  await client.subscribeAsync(`chat/${room}/shown`, { qos: 1 });
  return {
    say: (text) => client.publishAsync(`chat/${room}/said`, text, { qos: 1 }),
    leave: () => client.endAsync(),
  };
}

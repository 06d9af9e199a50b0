// As much of an MQTT 3.1.1 client as the rows about many connections and many topics need.
import { once } from "node:events";
import { connect } from "node:net";

const [PUBLISH, SUBACK, PINGRESP] = [3, 9, 13];
const PINGREQ = Buffer.of(0xc0, 0);

function packet(first, ...parts) {
  const body = Buffer.concat(parts);
  const head = [first];
  for (let left = body.length; ; ) {
    const octet = left & 127;
    left >>>= 7;
    head.push(left > 0 ? octet | 128 : octet);
    if (left === 0) return Buffer.concat([Buffer.from(head), body]);
  }
}

function text(string) {
  const bytes = Buffer.from(string);
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes]);
}

/** A PUBLISH with RETAIN, QoS 0. */
export const retained = (topic, payload) => packet(0x31, text(topic), payload);

export class MqttClient {
  /** PUBLISH packets so far. */
  received = 0;
  #socket;
  #rest = Buffer.alloc(0);
  #waiting = [];
  #failed = null;

  static async open(port, clientId) {
    const client = new MqttClient();
    client.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(client.#socket, "connect");
    client.#socket.on("data", (chunk) => client.#take(chunk));
    client.#socket.on("error", (error) => client.#fail(error));
    client.#socket.on("close", () => client.#fail(new Error("the server closed a connection")));
    client.#socket.write(packet(0x10, text("MQTT"), Buffer.of(4, 2, 0, 0), text(clientId)));
    await client.#until((kind) => kind === 2);
    return client;
  }

  /** Resolves when the socket takes more. */
  async write(bytes) {
    if (!this.#socket.write(bytes)) await once(this.#socket, "drain");
  }

  async subscribe(filter) {
    this.#socket.write(packet(0x82, Buffer.of(0, 1), text(filter), Buffer.of(0)));
    await this.#until((kind) => kind === SUBACK);
  }

  /** All that was sent before has been read. */
  async ping() {
    this.#socket.write(PINGREQ);
    await this.#until((kind) => kind === PINGRESP);
  }

  receive(count) {
    return this.received >= count ? undefined : this.#until(() => this.received >= count);
  }

  close() {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #until(condition) {
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => this.#waiting.push({ condition, resolve, reject }));
  }

  #fail(error) {
    this.#failed ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failed);
  }

  #took(kind) {
    if (kind === PUBLISH) this.received++;
    if (this.#waiting.length === 0) return;
    const met = this.#waiting.filter(({ condition }) => condition(kind));
    if (met.length === 0) return;
    this.#waiting = this.#waiting.filter((waiting) => !met.includes(waiting));
    for (const { resolve } of met) resolve();
  }

  #take(chunk) {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      let length = 0;
      let head = at + 1;
      for (let shift = 0; ; shift += 7) {
        if (head >= bytes.length) return this.#keep(bytes, at);
        const octet = bytes[head++];
        length |= (octet & 127) << shift;
        if (octet < 128) break;
      }
      if (head + length > bytes.length) return this.#keep(bytes, at);
      this.#took(bytes[at] >> 4);
      at = head + length;
    }
  }

  #keep(bytes, at) {
    this.#rest = bytes.subarray(at);
  }
}

// Enhanced authentication: SCRAM over AUTH packets, at the start and again later.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { startMqtt } from "../../support/mqtt.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt();
afterAll(() => broker.stop());

const { access } = broker.broker;
await access.putUser("ann", "secret", []);
access.setPermissions("ann", "/", { configure: ".*", write: ".*", read: ".*" });
await access.putUser("bob", "other", []);

const xor = (a: Buffer, b: Buffer) => Buffer.from(a.map((byte, i) => byte ^ b[i]!));

/** The client's side of RFC 5802. */
class Scram {
  readonly method: string;
  private readonly hash: "sha256" | "sha512";
  private readonly password: string;
  private readonly bare: string;
  private serverSignature = "";

  constructor(method: "SCRAM-SHA-256" | "SCRAM-SHA-512", user: string, password: string) {
    this.method = method;
    this.hash = method === "SCRAM-SHA-256" ? "sha256" : "sha512";
    this.password = password;
    this.bare = `n=${user},r=${randomBytes(12).toString("hex")}`;
  }

  first(): Buffer {
    return Buffer.from(`n,,${this.bare}`);
  }

  final(challenge: Buffer): Buffer {
    const text = challenge.toString();
    const [, nonce, salt, iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(text) as unknown as string[];
    const bytes = this.hash === "sha256" ? 32 : 64;
    const salted = pbkdf2Sync(
      this.password,
      Buffer.from(salt!, "base64"),
      Number(iterations),
      bytes,
      this.hash,
    );
    const mac = (key: Buffer, data: string) => createHmac(this.hash, key).update(data).digest();
    const clientKey = mac(salted, "Client Key");
    const without = `c=biws,r=${nonce}`;
    const message = `${this.bare},${text},${without}`;
    const signature = mac(createHash(this.hash).update(clientKey).digest(), message);
    this.serverSignature = mac(mac(salted, "Server Key"), message).toString("base64");
    return Buffer.from(`${without},p=${xor(clientKey, signature).toString("base64")}`);
  }

  /** Whether the server knows the password, too. */
  proves(proof: Buffer | undefined): boolean {
    return `${proof}` === `v=${this.serverSignature}`;
  }
}

const properties = (scram: Scram, data: Buffer) => ({
  authenticationMethod: scram.method,
  authenticationData: data,
});

async function begin(scram: Scram) {
  const raw = await RawMqtt.open(broker.url);
  raw.send({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 5,
    clean: true,
    keepalive: 0,
    clientId: `scram-${scram.method}`,
    properties: properties(scram, scram.first()),
  });
  return raw;
}

async function answer(raw: RawMqtt, scram: Scram): Promise<void> {
  const challenge = await raw.next("auth");
  expect(challenge.reasonCode).toBe(0x18);
  expect(challenge.properties?.authenticationMethod).toBe(scram.method);
  const data = scram.final(challenge.properties?.authenticationData as Buffer);
  raw.send({ cmd: "auth", reasonCode: 0x18, properties: properties(scram, data) });
}

describe.each(["SCRAM-SHA-256", "SCRAM-SHA-512"] as const)("%s", (method) => {
  test("lets in who knows the password, and proves that the broker does", async () => {
    const scram = new Scram(method, "ann", "secret");
    const raw = await begin(scram);
    await answer(raw, scram);
    const connack = await raw.next("connack");
    expect(connack.reasonCode).toBe(0);
    expect(connack.properties?.authenticationMethod).toBe(method);
    expect(scram.proves(connack.properties?.authenticationData as Buffer)).toBe(true);
    await raw.subscribe("scram", 1);
    // Once more, while the connection is open.
    const again = new Scram(method, "ann", "secret");
    raw.send({ cmd: "auth", reasonCode: 0x19, properties: properties(again, again.first()) });
    await answer(raw, again);
    const done = await raw.next("auth");
    expect(done.reasonCode).toBe(0);
    expect(again.proves(done.properties?.authenticationData as Buffer)).toBe(true);
    raw.publish({ topic: "scram", payload: "still here", qos: 0 });
    expect(`${(await raw.next("publish")).payload}`).toBe("still here");
    raw.close();
  });

  test("does not let in who does not", async () => {
    const scram = new Scram(method, "ann", "wrong");
    const raw = await begin(scram);
    await answer(raw, scram);
    expect((await raw.next("connack")).reasonCode).toBe(0x86);
    await raw.closed;
  });
});

async function opened(): Promise<RawMqtt> {
  const scram = new Scram("SCRAM-SHA-256", "ann", "secret");
  const raw = await begin(scram);
  await answer(raw, scram);
  await raw.next("connack");
  return raw;
}

test("another user's password is no re-authentication", async () => {
  const raw = await opened();
  const bob = new Scram("SCRAM-SHA-256", "bob", "other");
  raw.send({ cmd: "auth", reasonCode: 0x19, properties: properties(bob, bob.first()) });
  await answer(raw, bob);
  expect((await raw.next("disconnect")).reasonCode).toBe(0x87);
  await raw.closed;
});

test("a failed re-authentication ends the connection", async () => {
  const raw = await opened();
  const scram = new Scram("SCRAM-SHA-256", "ann", "wrong");
  raw.send({ cmd: "auth", reasonCode: 0x19, properties: properties(scram, scram.first()) });
  await answer(raw, scram);
  expect((await raw.next("disconnect")).reasonCode).toBe(0x87);
  await raw.closed;
});

test("the method must not change on the way", async () => {
  const raw = await begin(new Scram("SCRAM-SHA-256", "ann", "secret"));
  await raw.next("auth");
  const other = new Scram("SCRAM-SHA-512", "ann", "secret");
  raw.send({ cmd: "auth", reasonCode: 0x18, properties: properties(other, other.first()) });
  expect((await raw.next("connack")).reasonCode).toBe(0x82);
  await raw.closed;
});

test("nothing but AUTH is listened to before it is decided", async () => {
  const raw = await begin(new Scram("SCRAM-SHA-256", "ann", "secret"));
  await raw.next("auth");
  raw.publish({ topic: "early", payload: "", qos: 0 });
  expect((await raw.next("connack")).reasonCode).toBe(0x82);
  await raw.closed;
});

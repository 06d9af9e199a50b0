// Who Kafka clients are: logins by SASL, tokens, and who does not log in.
import { mkdtempSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectAmqp } from "amqplib";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  ResourcePatternTypes,
  type SASLOptions,
} from "kafkajs";
import { describe, expect, test } from "vitest";
import { startServer } from "../../support/broker.ts";
import { kafkaJs, useKafka } from "../../support/kafka.ts";

const keys = await generateKeyPair("ES256");
const strangers = await generateKeyPair("ES256");
const jwks = join(mkdtempSync(join(tmpdir(), "polymq-jwks-")), "jwks.json");
writeFileSync(
  jwks,
  JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: "one", alg: "ES256" }] }),
);

const open = await useKafka();
const closed = await useKafka({
  settings: {
    kafkaAnonymousUser: "off",
    oauthJwks: jwks,
    oauthIssuer: "https://issuer",
    oauthAudience: "polymq",
  },
});
const plainOnly = await useKafka({ settings: { kafkaSaslMechanisms: "PLAIN" } });

/** Lists topics, as whoever this is. */
async function tryAs(address: string, sasl?: SASLOptions): Promise<string> {
  const kafka = kafkaJs({
    brokers: [address],
    retry: { retries: 0 },
    ...(sasl !== undefined && { sasl }),
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.listTopics();
    return "in";
  } catch (error) {
    return (error as Error).message;
  } finally {
    await admin.disconnect();
  }
}

const guest = { username: "guest", password: "guest" };

describe("logins", () => {
  test.each(["plain", "scram-sha-256", "scram-sha-512"] as const)("by %s", async (mechanism) => {
    expect(await tryAs(closed.address, { mechanism, ...guest } as SASLOptions)).toBe("in");
    const wrong = { mechanism, ...guest, password: "wrong" } as SASLOptions;
    expect(await tryAs(closed.address, wrong)).toContain("Authentication failed: login refused");
    const nobody = { mechanism, username: "nobody", password: "guest" } as SASLOptions;
    expect(await tryAs(closed.address, nobody)).toContain("Authentication failed: login refused");
  });

  test("by a mechanism that is not offered are refused", async () => {
    expect(await tryAs(plainOnly.address, { mechanism: "plain", ...guest })).toBe("in");
    expect(await tryAs(plainOnly.address, { mechanism: "scram-sha-256", ...guest })).toContain(
      "requested SASL mechanism",
    );
    const token = { mechanism: "oauthbearer", oauthBearerProvider: async () => ({ value: "x" }) } as const;
    expect(await tryAs(open.address, token)).toContain("requested SASL mechanism");
  });
});

describe("tokens", () => {
  const sign = (claims: Record<string, unknown>, key = keys.privateKey) =>
    new SignJWT({ iss: "https://issuer", aud: "polymq", sub: "guest", ...claims })
      .setProtectedHeader({ alg: "ES256", kid: "one" })
      .setExpirationTime((claims.exp as number | undefined) ?? "5m")
      .sign(key);
  const tryToken = (value: string) =>
    tryAs(closed.address, { mechanism: "oauthbearer", oauthBearerProvider: async () => ({ value }) });

  test("let in whom they name", async () => {
    expect(await tryToken(await sign({}))).toBe("in");
    expect(await tryToken(await sign({ aud: ["other", "polymq"] }))).toBe("in");
  });

  test.each([
    ["of a stranger", {}, strangers.privateKey],
    ["by another issuer", { iss: "https://other" }, keys.privateKey],
    ["for others", { aud: "other" }, keys.privateKey],
    ["that have expired", { exp: Math.floor(Date.now() / 1000) - 60 }, keys.privateKey],
    ["of users that are not here", { sub: "nobody" }, keys.privateKey],
    ["of nobody", { sub: "" }, keys.privateKey],
  ])("%s are refused", async (_, claims, key) => {
    expect(await tryToken(await sign(claims, key))).not.toBe("in");
  });

  test("without a signature are refused", async () => {
    const part = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
    const claims = { iss: "https://issuer", aud: "polymq", sub: "guest", exp: Date.now() };
    expect(await tryToken(`${part({ alg: "none" })}.${part(claims)}.`)).not.toBe("in");
  });
});

describe("who does not log in", () => {
  test("is guest on this machine, unless that is switched off", async () => {
    expect(await tryAs(open.address)).toBe("in");
    expect(await tryAs(closed.address)).not.toBe("in");
  });

  test("is nobody any more when guest has another password", async () => {
    const changed = await useKafkaWithout();
    expect(await tryAs(changed.address)).not.toBe("in");
    expect(await tryAs(changed.address, { mechanism: "plain", username: "root", password: "secret" })).toBe(
      "in",
    );
  });

  test("is the user that is named", async () => {
    const named = await useKafka({
      user: { name: "root", password: "secret" },
      settings: { kafkaAnonymousUser: "root" },
    });
    expect(await tryAs(named.address)).toBe("in");
  });
});

/** No guest at all. */
const useKafkaWithout = () => useKafka({ user: { name: "root", password: "secret" } });

/** Frames on a bare socket. */
class Frames {
  private readonly socket: Socket;
  private received = Buffer.alloc(0);
  private ended = false;
  private wake: () => void = () => {};

  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.on("data", (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.wake();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.ended = true;
      this.wake();
    });
  }

  send(frame: Buffer): void {
    const size = Buffer.alloc(4);
    size.writeInt32BE(frame.length);
    this.socket.write(Buffer.concat([size, frame]));
  }

  /** Null: the connection has ended. */
  async next(): Promise<Buffer | null> {
    for (;;) {
      const size = this.received.length < 4 ? Number.POSITIVE_INFINITY : this.received.readInt32BE(0);
      if (this.received.length >= 4 + size) {
        const frame = this.received.subarray(4, 4 + size);
        this.received = this.received.subarray(4 + size);
        return frame;
      }
      if (this.ended) return null;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  close(): void {
    this.socket.destroy();
  }
}

const text = (value: string) => {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
};
const request = (key: number, version: number, body: Buffer) => {
  const header = Buffer.alloc(8);
  header.writeInt16BE(key, 0);
  header.writeInt16BE(version, 2);
  header.writeInt32BE(7, 4);
  return Buffer.concat([header, text("raw"), body]);
};
const HANDSHAKE = 17;
const AUTHENTICATE = 36;
const METADATA = 3;

/** A login by token on a bare socket: returns how long it holds, in ms. */
async function tokenLogin(frames: Frames, token: string): Promise<number> {
  frames.send(request(HANDSHAKE, 1, text("OAUTHBEARER")));
  expect((await frames.next())?.readInt16BE(4)).toBe(0);
  const message = Buffer.from(`n,,\u0001auth=Bearer ${token}\u0001\u0001`);
  const size = Buffer.alloc(4);
  size.writeInt32BE(message.length);
  frames.send(request(AUTHENTICATE, 1, Buffer.concat([size, message])));
  const answer = (await frames.next())!;
  return Number(answer.readBigInt64BE(answer.length - 8));
}

describe("a login by token ends with the token (KIP-368)", () => {
  const token = (seconds: number, sub = "guest") =>
    new SignJWT({ iss: "https://issuer", aud: "polymq", sub })
      .setProtectedHeader({ alg: "ES256", kid: "one" })
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .sign(keys.privateKey);

  test("and the connection with it", async () => {
    const frames = new Frames(closed.port);
    const lifetimeMs = await tokenLogin(frames, await token(2));
    expect(lifetimeMs).toBeGreaterThan(0);
    expect(lifetimeMs).toBeLessThanOrEqual(2000);
    expect(await frames.next()).toBeNull();
  });

  // What becomes of the first one's end: src/wire/kafka/security/peer-login.test.ts.
  test("unless another one has come on the same connection", async () => {
    const frames = new Frames(closed.port);
    await tokenLogin(frames, await token(300));
    expect(await tokenLogin(frames, await token(600))).toBeGreaterThan(500_000);
    frames.send(request(METADATA, 0, Buffer.alloc(4)));
    expect((await frames.next())?.readInt32BE(0)).toBe(7);
    frames.close();
  });

  test("by whatever way, if it is the same user's", async () => {
    const frames = new Frames(closed.port);
    await tokenLogin(frames, await token(600));
    frames.send(request(HANDSHAKE, 1, text("PLAIN")));
    await frames.next();
    frames.send(
      request(AUTHENTICATE, 0, Buffer.concat([Buffer.from([0, 0, 0, 12]), Buffer.from("\0guest\0guest")])),
    );
    expect((await frames.next())?.readInt16BE(4)).toBe(0);
    frames.close();
  });
});

describe("on the wire", () => {
  test("after SaslHandshake version 0 the login goes without headers (before KIP-152)", async () => {
    const frames = new Frames(closed.port);
    frames.send(request(HANDSHAKE, 0, text("PLAIN")));
    expect((await frames.next())?.readInt16BE(4)).toBe(0);
    frames.send(Buffer.from("\0guest\0guest"));
    expect(await frames.next()).toHaveLength(0);
    frames.send(request(METADATA, 0, Buffer.alloc(4)));
    expect((await frames.next())?.readInt32BE(0)).toBe(7);
    frames.close();
  });

  test("such a login that fails ends the connection", async () => {
    const frames = new Frames(closed.port);
    frames.send(request(HANDSHAKE, 0, text("PLAIN")));
    await frames.next();
    frames.send(Buffer.from("\0guest\0wrong"));
    expect(await frames.next()).toBeNull();
  });

  test("SaslAuthenticate without SaslHandshake is an error, and the end", async () => {
    const frames = new Frames(closed.port);
    frames.send(
      request(AUTHENTICATE, 0, Buffer.concat([Buffer.from([0, 0, 0, 12]), Buffer.from("\0guest\0guest")])),
    );
    expect((await frames.next())?.readInt16BE(4)).toBe(34);
    expect(await frames.next()).toBeNull();
  });

  test("nothing is answered behind a login that failed, whoever the client was before", async () => {
    const frames = new Frames(open.port);
    frames.send(request(METADATA, 0, Buffer.alloc(4)));
    expect(await frames.next()).not.toBeNull();
    frames.send(request(HANDSHAKE, 1, text("PLAIN")));
    frames.send(
      request(AUTHENTICATE, 0, Buffer.concat([Buffer.from([0, 0, 0, 12]), Buffer.from("\0guest\0wrong")])),
    );
    frames.send(request(METADATA, 0, Buffer.alloc(4)));
    expect(await frames.next()).not.toBeNull();
    expect((await frames.next())?.readInt16BE(4)).toBe(58);
    expect(await frames.next()).toBeNull();
  });

  test("nothing else is answered before the login", async () => {
    const frames = new Frames(closed.port);
    frames.send(request(METADATA, 0, Buffer.alloc(4)));
    expect(await frames.next()).toBeNull();
  });

  test("requests behind a login wait for it", async () => {
    const frames = new Frames(closed.port);
    frames.send(request(HANDSHAKE, 1, text("PLAIN")));
    frames.send(
      request(AUTHENTICATE, 0, Buffer.concat([Buffer.from([0, 0, 0, 12]), Buffer.from("\0guest\0guest")])),
    );
    frames.send(request(METADATA, 0, Buffer.alloc(4)));
    for (let i = 0; i < 3; i++) expect((await frames.next())?.readInt32BE(0)).toBe(7);
    frames.close();
  });
});

test("a rule for a topic holds for who reads it as a queue", async () => {
  const { broker, port, address, stop } = await startServer({ kafkaPort: "0" });
  await broker.access.putUser("ann", "secret", []);
  broker.access.setPermissions("ann", "/", { configure: ".*", write: ".*", read: ".*" });
  const admin = kafkaJs({ brokers: [`127.0.0.1:${port("kafka")}`] }).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "open" }, { topic: "shut" }] });
  await admin.createAcls({
    acl: [
      {
        resourceType: AclResourceTypes.TOPIC,
        resourceName: "shut",
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: "User:ann",
        host: "*",
        operation: AclOperationTypes.READ,
        permissionType: AclPermissionTypes.DENY,
      },
    ],
  });
  await admin.disconnect();
  const connection = await connectAmqp(`amqp://ann:secret@${address}`);
  const channel = await connection.createChannel();
  await channel.prefetch(1);
  await channel.consume("open", () => {});
  channel.on("error", () => {});
  await expect(channel.consume("shut", () => {})).rejects.toThrow("ACCESS_REFUSED");
  await connection.close();
  await stop();
});

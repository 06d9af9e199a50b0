import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { BrokerError } from "../../base/errors.ts";
import { FakeMeta } from "../topology/fakes.ts";
import { Access } from "./access.ts";
import { verifierOf } from "./scram.ts";
import { type ScramSource, ServerScramExchange } from "./scram-exchange.ts";
import type { ScramExchange, ScramMechanism } from "./types.ts";

const SHA256 = "SCRAM-SHA-256";

const send = async (exchange: ScramExchange, text: string): Promise<string> =>
  Buffer.from(await exchange.step(Buffer.from(text))).toString();

async function refusal(action: () => Promise<unknown>): Promise<unknown> {
  try {
    await action();
    return null;
  } catch (error) {
    if (error instanceof BrokerError && error.code === "login-refused")
      return error.detail.reason ?? "refused";
    throw error;
  }
}

describe("the exchange of RFC 7677 section 3", () => {
  const FIRST = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
  const NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  const PROOF = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
  const FINAL = `c=biws,r=${NONCE},${PROOF}`;
  const salt = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64");
  const verifier = verifierOf(SHA256, salt, 4096, pbkdf2Sync("pencil", salt, 4096, 32, "sha256"));
  let source: ScramSource;
  let exchange: ServerScramExchange;

  beforeEach(() => {
    source = {
      ready: Promise.resolve(),
      verifier: (user) => (user === "user" ? verifier : null),
      fakeSalt: () => "c2FsdA==",
      admit: (user) => ({ user, tags: [] }),
    };
    exchange = new ServerScramExchange(SHA256, source, NONCE.slice("rOprNGfwEbeRWgbNEkqO".length));
  });

  it("goes as printed there", async () => {
    expect(await send(exchange, FIRST)).toBe(`r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
    expect(exchange.user).toBeNull();
    expect(await send(exchange, FINAL)).toBe("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    expect(exchange.user).toEqual({ user: "user", tags: [] });
  });

  it("is over after a wrong proof, and after a right one", async () => {
    await send(exchange, FIRST);
    const wrong = FINAL.replace("p=dH", "p=eH");
    expect(await refusal(() => send(exchange, wrong))).toBe("proof does not fit the password");
    expect(await refusal(() => send(exchange, FINAL))).toBe("the exchange is over");
    expect(exchange.user).toBeNull();
  });

  it.each([
    ["channel binding asked for", "p=tls-unique,,n=user,r=abc"],
    ["acting for somebody else", "n,a=other,n=user,r=abc"],
    ["a mandatory extension", "n,,m=ext,n=user,r=abc"],
    ["a malformed name", "n,,n=us=er,r=abc"],
    ["no nonce", "n,,n=user,r="],
    ["no message at all", ""],
    ["too long a message", `n,,n=user,r=${"a".repeat(5000)}`],
  ])("refuses a first message with %s", async (_, text) => {
    expect(await refusal(() => send(exchange, text))).not.toBeNull();
  });

  it.each([
    ["another nonce", FINAL.replace("k0,", "k1,")],
    ["another binding", FINAL.replace("biws", "eSws")],
    ["a short proof", FINAL.replace(PROOF, "p=AAAA")],
    ["no proof", FINAL.replace(`,${PROOF}`, "")],
  ])("refuses a final message with %s", async (_, text) => {
    await send(exchange, FIRST);
    expect(await refusal(() => send(exchange, text))).not.toBeNull();
    expect(exchange.user).toBeNull();
  });

  it("takes the nonce of a client that puts its own part in front twice", async () => {
    const access = { ...source };
    const doubled = new ServerScramExchange(SHA256, access, "server");
    const challenge = await send(doubled, "n,,n=user,r=client");
    expect(challenge).toMatch(/^r=clientserver,/);
    const withoutProof = "c=biws,r=clientclientserver";
    const salted = pbkdf2Sync("pencil", salt, 4096, 32, "sha256");
    const clientKey = createHmac("sha256", salted).update("Client Key").digest();
    const storedKey = createHash("sha256").update(clientKey).digest();
    const transcript = `n=user,r=client,${challenge},${withoutProof}`;
    const signature = createHmac("sha256", storedKey).update(transcript).digest();
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString("base64");
    expect(await send(doubled, `${withoutProof},p=${proof}`)).toMatch(/^v=/);
  });

  it("is worthless once the password has changed", async () => {
    await send(exchange, FIRST);
    source = Object.assign(source, { verifier: () => ({ ...verifier }) });
    expect(await refusal(() => send(exchange, FINAL))).not.toBeNull();
  });
});

/** What a client does (RFC 5802 section 3), written down a second time. */
async function logIn(exchange: ScramExchange, mechanism: ScramMechanism, user: string, password: string) {
  const hash = mechanism === SHA256 ? "sha256" : "sha512";
  const bytes = mechanism === SHA256 ? 32 : 64;
  const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest();
  const bare = `n=${user.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=clientnonce`;
  const challenge = await send(exchange, `n,,${bare}`);
  const [, nonce, salt, iterations] = /^r=(.*),s=(.*),i=(\d+)$/.exec(challenge) as string[];
  const salted = pbkdf2Sync(password, Buffer.from(salt!, "base64"), Number(iterations), bytes, hash);
  const transcript = `${bare},${challenge},c=biws,r=${nonce}`;
  const clientKey = hmac(salted, "Client Key");
  const signature = hmac(createHash(hash).update(clientKey).digest(), transcript);
  const proof = clientKey.map((byte, i) => byte ^ signature[i]!);
  const answer = await send(exchange, `c=biws,r=${nonce},p=${Buffer.from(proof).toString("base64")}`);
  expect(answer).toBe(`v=${hmac(hmac(salted, "Server Key"), transcript).toString("base64")}`);
  return exchange.user;
}

it("whatever a client says, it gets an answer or is refused", async () => {
  const source: ScramSource = {
    ready: Promise.resolve(),
    verifier: () => null,
    fakeSalt: () => "c2FsdA==",
    admit: (user) => ({ user, tags: [] }),
  };
  const part = fc.constantFrom("n,,", "n=", "r=", "c=biws", "p=", ",", "=2C", "a", "m=x", "\0", "é");
  const message = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(""));
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 3 }), async (messages) => {
      const exchange = new ServerScramExchange(SHA256, source);
      for (const text of messages) {
        await exchange.step(Buffer.from(text)).catch((error: unknown) => {
          expect(error).toBeInstanceOf(BrokerError);
        });
      }
      expect(exchange.user).toBeNull();
    }),
  );
});

describe("users", () => {
  let meta: FakeMeta;
  let access: Access;
  const open = async () => {
    access = await Access.open(meta, { clock: new ManualClock() });
    await access.ready;
  };

  beforeEach(async () => {
    meta = new FakeMeta();
    await open();
  });

  const scram = (user: string, password: string, mechanism: ScramMechanism = SHA256, loopback = true) =>
    logIn(access.scram(mechanism, loopback), mechanism, user, password);

  it("log in with every mechanism from the start, guest from this machine only", async () => {
    expect(await scram("guest", "guest")).toEqual({ user: "guest", tags: ["administrator"] });
    await scram("guest", "guest", "SCRAM-SHA-512");
    await open();
    await scram("guest", "guest");
    expect(await refusal(() => scram("guest", "guest", SHA256, false))).not.toBeNull();
  });

  it("with commas and equals signs in their names log in, too", async () => {
    await access.putUser("a=b,c", "pw", []);
    expect(await scram("a=b,c", "pw")).toEqual({ user: "a=b,c", tags: [] });
  });

  it("that do not exist get a challenge like all others, the same one each time", async () => {
    const challenge = (user: string) => send(access.scram(SHA256, true), `n,,n=${user},r=abc`);
    const salt = async (user: string) => /s=(.*),i=16384$/.exec(await challenge(user))?.[1];
    const first = await salt("nobody");
    expect(first).toHaveLength((await salt("guest"))!.length);
    await open();
    expect(await salt("nobody")).toBe(first);
    expect(await salt("nobody2")).not.toBe(first);
    expect(await refusal(() => scram("nobody", "x"))).not.toBeNull();
  });

  it("from before there were verifiers get theirs with the next login by password", async () => {
    const { scram: _, ...old } = JSON.parse(Buffer.from(meta.get("access/user/guest")!).toString());
    meta.put("access/user/guest", Buffer.from(JSON.stringify(old)));
    await open();
    expect(await refusal(() => scram("guest", "guest"))).not.toBeNull();
    await expect(access.authenticate({ user: "guest", password: "x", loopback: true })).rejects.toThrow();
    await access.idle();
    expect(await refusal(() => scram("guest", "guest"))).not.toBeNull();
    await access.authenticate({ user: "guest", password: "guest", loopback: true });
    await access.idle();
    await scram("guest", "guest");
    await open();
    await scram("guest", "guest", "SCRAM-SHA-512");
  });

  it("have no use for an old password after a change", async () => {
    await access.setPassword("guest", "new");
    expect(await refusal(() => scram("guest", "guest"))).not.toBeNull();
    await scram("guest", "new");
    await access.setPassword("guest", null);
    expect(await refusal(() => scram("guest", "new"))).not.toBeNull();
  });

  const given = (user: string, password: string, mechanism: ScramMechanism = SHA256) => {
    const salt = Buffer.from("pepper");
    const [hash, bytes] = mechanism === SHA256 ? ["sha256", 32] : ["sha512", 64];
    const saltedPassword = pbkdf2Sync(password, salt, 4096, bytes as number, hash as string);
    return { user, mechanism, iterations: 4096, salt, saltedPassword };
  };
  const plain = (user: string, password: string) =>
    refusal(() => access.authenticate({ user, password, loopback: true }));

  it("can be made of a salted password, which is good for every kind of login", async () => {
    access.putScram(given("new", "pw"));
    expect(access.user("new")).toEqual({ name: "new", tags: [], hasPassword: true, loopbackOnly: false });
    await scram("new", "pw");
    expect(await plain("new", "pw")).toBeNull();
    expect(await plain("new", "wrong")).not.toBeNull();
    expect(await refusal(() => scram("new", "pw", "SCRAM-SHA-512"))).not.toBeNull();
    expect(access.scramCredentials()).toContainEqual({ user: "new", mechanism: SHA256, iterations: 4096 });
  });

  it("lose the password they had when they are given a salted one, but not another salted one", async () => {
    access.putScram(given("guest", "one"));
    access.putScram(given("guest", "two", "SCRAM-SHA-512"));
    expect(await plain("guest", "guest")).not.toBeNull();
    await scram("guest", "one");
    await scram("guest", "two", "SCRAM-SHA-512");
    expect(access.deleteScram("guest", SHA256)).toBe(true);
    expect(access.deleteScram("guest", SHA256)).toBe(false);
    expect(await plain("guest", "one")).not.toBeNull();
    expect(await plain("guest", "two")).toBeNull();
    await open();
    expect(access.scramCredentials().map(({ mechanism }) => mechanism)).toEqual(["SCRAM-SHA-512"]);
  });

  it.each([
    ["name", { user: "" }],
    ["iterations", { iterations: 4095 }],
    ["iterations", { iterations: 16_385 }],
    ["salt", { salt: Buffer.alloc(0) }],
    ["salted password", { saltedPassword: Buffer.alloc(31) }],
  ])("are not made of a bad %s", (argument, wrong) => {
    expect(() => access.putScram({ ...given("new", "pw"), ...wrong })).toThrow(
      expect.objectContaining({ code: "argument-invalid", detail: expect.objectContaining({ argument }) }),
    );
    expect(access.user("new")).toBeUndefined();
  });
});

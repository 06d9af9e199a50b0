// Kafka over TLS: a client certificate is an identity, and logins are as safe as in the clear are not.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SASLOptions } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer } from "../../support/broker.ts";
import { kafkaJs } from "../../support/kafka.ts";

const dir = mkdtempSync(join(tmpdir(), "polymq-kafka-tls-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const file = (name: string) => join(dir, name);
const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

function certificate(name: string): void {
  openssl("req", ...KEY, "-subj", `/O=PolyMQ/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
  writeFileSync(file(`${name}.ext`), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-extfile", `${name}.ext`, "-out", `${name}.pem`);
}

const hasOpenssl = (() => {
  try {
    openssl("req", "-x509", ...KEY, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem");
    return true;
  } catch {
    return false;
  }
})();
if (hasOpenssl) for (const name of ["localhost", "ann", "nobody"]) certificate(name);

describe.skipIf(!hasOpenssl)("a Kafka port with TLS", async () => {
  if (!hasOpenssl) return;
  const pem = { tlsCert: file("localhost.pem"), tlsKey: file("localhost.key"), tlsCa: file("ca.pem") };
  const { broker, server, stop } = await startServer({ kafkasPort: "0", kafkaAnonymousUser: "off", ...pem });
  afterAll(stop);
  await broker.access.putUser("ann", "secret", []);
  broker.access.setPermissions("ann", "/", { configure: "^ann", write: "^ann", read: "^ann" });
  const { port } = server.listeners.find(({ name }) => name === "kafkas")!;

  /** Names the topics that it sees, or says why it sees none. */
  async function topicsOf(name: string | null, sasl?: SASLOptions): Promise<string[] | string> {
    const read = (suffix: string) => readFileSync(file(`${name}.${suffix}`), "utf8");
    const kafka = kafkaJs({
      brokers: [`localhost:${port}`],
      ssl: {
        ca: [readFileSync(file("ca.pem"), "utf8")],
        ...(name && { cert: read("pem"), key: read("key") }),
      },
      retry: { retries: 0 },
      ...(sasl !== undefined && { sasl }),
    });
    const admin = kafka.admin();
    try {
      await admin.connect();
      return await admin.listTopics();
    } catch (error) {
      return (error as Error).message;
    } finally {
      await admin.disconnect();
    }
  }

  const ann: SASLOptions = { mechanism: "scram-sha-512", username: "ann", password: "secret" };
  const guest: SASLOptions = { mechanism: "plain", username: "guest", password: "guest" };

  beforeAll(async () => {
    const kafka = kafkaJs({
      brokers: [`localhost:${port}`],
      ssl: { ca: [readFileSync(file("ca.pem"), "utf8")] },
      sasl: guest,
    });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: "ann.1" }, { topic: "guests" }] });
    await admin.disconnect();
  });

  test("takes the certificate's common name for the user", async () => {
    expect(await topicsOf("ann")).toEqual(["ann.1"]);
  });

  test("takes logins, also beside a certificate that names nobody", async () => {
    expect(await topicsOf(null, ann)).toEqual(["ann.1"]);
    expect(await topicsOf("nobody", ann)).toEqual(["ann.1"]);
    expect(await topicsOf("ann", guest)).toEqual(["ann.1", "guests"]);
  });

  test("lets nobody in who is nobody", async () => {
    expect(typeof (await topicsOf("nobody"))).toBe("string");
    expect(typeof (await topicsOf(null))).toBe("string");
  });
});

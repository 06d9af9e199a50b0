// Certificates for one test file, made by openssl: an authority, the machine's own, and one for each user.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export interface Certificates {
  /** Options of a broker that has `localhost`'s, and trusts the authority `ca`. */
  readonly options: Readonly<Record<string, string>>;
  /** What a client trusts, and shows when it has a name. */
  client(name?: string): { ca: Buffer; cert?: Buffer; key?: Buffer };
}

/** Null where there is no openssl. Those of `strangers` are signed by an authority that nobody knows. */
export function makeCertificates(
  users: readonly string[],
  strangers: readonly string[],
): Certificates | null {
  const dir = mkdtempSync(join(tmpdir(), "polymq-certificates-"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const file = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
  const authority = (name: string) =>
    openssl("req", "-x509", ...KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.pem`);
  const sign = (name: string, by: string): void => {
    openssl("req", ...KEY, "-subj", `/O=PolyMQ/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    writeFileSync(file(`${name}.ext`), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    const signed = ["-CA", `${by}.pem`, "-CAkey", `${by}.key`, "-CAcreateserial", "-days", "2"];
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      ...signed,
      "-extfile",
      `${name}.ext`,
      "-out",
      `${name}.pem`,
    );
  };
  try {
    openssl("version");
  } catch {
    return null;
  }
  authority("ca");
  authority("stranger");
  for (const name of ["localhost", ...users]) sign(name, "ca");
  for (const name of strangers) sign(name, "stranger");
  return {
    options: { tlsCert: file("localhost.pem"), tlsKey: file("localhost.key"), tlsCa: file("ca.pem") },
    client: (name) => ({
      ca: readFileSync(file("ca.pem")),
      ...(name !== undefined && {
        cert: readFileSync(file(`${name}.pem`)),
        key: readFileSync(file(`${name}.key`)),
      }),
    }),
  };
}

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** For localhost, signed by itself; null where there is no openssl. */
export function makeCertificate(): Certificate | null {
  const directory = mkdtempSync(join(tmpdir(), "polymq-certificate-"));
  const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
  const what = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"];
  try {
    execFileSync("openssl", ["req", "-x509", ...what, "-keyout", key, "-out", cert], { stdio: "pipe" });
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  } catch {
    return null;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

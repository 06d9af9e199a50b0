import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import type { ScramMechanism } from "./types.ts";

/** What is kept of a password so that its owner can prove to know it (RFC 5802 section 3). Bytes are base64. */
export interface ScramVerifier {
  readonly salt: string;
  readonly iterations: number;
  readonly storedKey: string;
  readonly serverKey: string;
}

export const SCRAM_MECHANISMS: readonly ScramMechanism[] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/** RFC 7677 section 4 asks for at least 4096; more than 16384 is refused by widespread tools. */
export const SCRAM_ITERATIONS_MIN = 4096;
export const SCRAM_ITERATIONS_MAX = 16_384;

const SALT_BYTES = 16;

const HASHES: Readonly<Record<ScramMechanism, { name: string; bytes: number }>> = {
  "SCRAM-SHA-256": { name: "sha256", bytes: 32 },
  "SCRAM-SHA-512": { name: "sha512", bytes: 64 },
};

export function scramHash(mechanism: ScramMechanism): string {
  return HASHES[mechanism].name;
}

export function scramHashBytes(mechanism: ScramMechanism): number {
  return HASHES[mechanism].bytes;
}

/**
 * The password goes in as its UTF-8 bytes, without SASLprep: clients in the field leave it out, and for
 * ASCII it changes nothing.
 */
export async function deriveVerifier(mechanism: ScramMechanism, password: string): Promise<ScramVerifier> {
  const salt = randomBytes(SALT_BYTES);
  const salted = await saltPassword(mechanism, password, salt, SCRAM_ITERATIONS_MAX);
  return verifierOf(mechanism, salt, SCRAM_ITERATIONS_MAX, salted);
}

export function verifierOf(
  mechanism: ScramMechanism,
  salt: Uint8Array,
  iterations: number,
  saltedPassword: Uint8Array,
): ScramVerifier {
  const clientKey = hmac(mechanism, saltedPassword, "Client Key");
  return {
    salt: Buffer.from(salt).toString("base64"),
    iterations,
    storedKey: createHash(scramHash(mechanism)).update(clientKey).digest("base64"),
    serverKey: hmac(mechanism, saltedPassword, "Server Key").toString("base64"),
  };
}

/** For a password in the clear. */
export async function matchesVerifier(
  mechanism: ScramMechanism,
  password: string,
  verifier: ScramVerifier,
): Promise<boolean> {
  const salt = Buffer.from(verifier.salt, "base64");
  const salted = await saltPassword(mechanism, password, salt, verifier.iterations);
  const { storedKey } = verifierOf(mechanism, salt, verifier.iterations, salted);
  return timingSafeEqual(Buffer.from(storedKey, "base64"), Buffer.from(verifier.storedKey, "base64"));
}

export function hmac(mechanism: ScramMechanism, key: Uint8Array, text: string): Buffer {
  return createHmac(scramHash(mechanism), key).update(text).digest();
}

function saltPassword(
  mechanism: ScramMechanism,
  password: string,
  salt: Uint8Array,
  iterations: number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, scramHashBytes(mechanism), scramHash(mechanism), (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

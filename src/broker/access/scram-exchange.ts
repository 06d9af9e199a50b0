import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { BrokerError } from "../../base/errors.ts";
import { hmac, SCRAM_ITERATIONS_MAX, type ScramVerifier, scramHash, scramHashBytes } from "./scram.ts";
import type { ScramExchange, ScramMechanism } from "./types.ts";

/** Longer than any name, nonce or proof. */
const MESSAGE_BYTES_MAX = 4096;
const NONCE_BYTES = 18;

type User = NonNullable<ScramExchange["user"]>;

/** Where the exchange finds what it needs to know of users. */
export interface ScramSource {
  /** Resolves when users can be looked up. */
  readonly ready: Promise<void>;
  verifier(user: string, mechanism: ScramMechanism): ScramVerifier | null;
  /** Salt to show for a user without verifier, always the same one: nobody shall learn which names exist. */
  fakeSalt(user: string, mechanism: ScramMechanism): string;
  /** Last word, after the proof. @throws BrokerError login-refused */
  admit(user: string): User;
}

type State =
  | { readonly at: "first" }
  | {
      readonly at: "final";
      readonly user: string;
      /** What the proof must fit: a changed password makes an exchange under way worthless. */
      readonly verifier: ScramVerifier | null;
      readonly gs2Header: string;
      readonly nonce: string;
      /** client-first-message-bare "," server-first-message */
      readonly transcript: string;
    }
  | { readonly at: "over" };

/** The server's side of SCRAM without channel binding, which is not offered. */
export class ServerScramExchange implements ScramExchange {
  user: User | null = null;
  private state: State = { at: "first" };
  private readonly mechanism: ScramMechanism;
  private readonly source: ScramSource;
  private readonly serverNonce: string;

  constructor(mechanism: ScramMechanism, source: ScramSource, serverNonce = freshNonce()) {
    this.mechanism = mechanism;
    this.source = source;
    this.serverNonce = serverNonce;
  }

  async step(message: Uint8Array): Promise<Uint8Array> {
    const { state } = this;
    // Whatever goes wrong, the exchange cannot be tried again.
    this.state = { at: "over" };
    if (message.length > MESSAGE_BYTES_MAX) throw refused("", "message is too long");
    const text = Buffer.from(message).toString("utf8");
    await this.source.ready;
    if (state.at === "first") return Buffer.from(this.challenge(text));
    if (state.at === "final") return Buffer.from(this.prove(state, text));
    throw refused("", "the exchange is over");
  }

  private challenge(text: string): string {
    const { gs2Header, bare, user, nonce: clientNonce } = parseFirst(text);
    const { mechanism, source } = this;
    const verifier = source.verifier(user, mechanism);
    const nonce = `${clientNonce}${this.serverNonce}`;
    const salt = verifier?.salt ?? source.fakeSalt(user, mechanism);
    const answer = `r=${nonce},s=${salt},i=${verifier?.iterations ?? SCRAM_ITERATIONS_MAX}`;
    this.state = { at: "final", user, verifier, gs2Header, nonce, transcript: `${bare},${answer}` };
    return answer;
  }

  private prove(state: State & { at: "final" }, text: string): string {
    const { user, verifier, transcript } = state;
    const { binding, nonce, proof, withoutProof } = parseFinal(user, text);
    // Clients in the field (older librdkafka) put their own part in front once more. It is signed with
    // the rest, and what counts is that it ends with what was made here.
    if (!nonce.endsWith(state.nonce)) throw refused(user, "nonce differs");
    if (Buffer.from(binding, "base64").toString() !== state.gs2Header) {
      throw refused(user, "channel binding differs");
    }
    const { mechanism } = this;
    const signed = `${transcript},${withoutProof}`;
    const storedKey =
      verifier === null ? Buffer.alloc(scramHashBytes(mechanism)) : bytesOf(verifier.storedKey);
    const clientKey = hmac(mechanism, storedKey, signed);
    if (proof.length !== clientKey.length) throw refused(user, "proof has the wrong length");
    for (let i = 0; i < clientKey.length; i++) clientKey[i]! ^= proof[i]!;
    const found = createHash(scramHash(mechanism)).update(clientKey).digest();
    const right = timingSafeEqual(found, storedKey);
    if (!right || verifier === null || this.source.verifier(user, mechanism) !== verifier) {
      throw refused(user, "proof does not fit the password");
    }
    this.user = this.source.admit(user);
    return `v=${hmac(mechanism, bytesOf(verifier.serverKey), signed).toString("base64")}`;
  }
}

/** A salt that only those who know `secret` can tell from a real one. */
export function fakeSaltOf(secret: Uint8Array, user: string, mechanism: ScramMechanism): string {
  const digest = createHmac("sha256", secret).update(mechanism).update("\0").update(user).digest();
  return digest.subarray(0, 16).toString("base64");
}

/**
 *     gs2-header [reserved-mext ","] username "," nonce ["," extensions]
 *
 * (RFC 5802 section 7, client-first-message)
 */
function parseFirst(text: string) {
  const header = /^([ny]|p=[^,]*),(?:a=([^,]*))?,/.exec(text);
  if (header === null) throw refused("", "first message is malformed");
  const gs2Header = header[0];
  if (gs2Header.startsWith("p=")) throw refused("", "channel binding is not offered");
  const bare = text.slice(gs2Header.length);
  const fields = /^n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)((?:,[A-Za-z]=[^,]+)*)$/.exec(bare);
  if (fields === null) throw refused("", "first message is malformed");
  const user = saslName(fields[1]!);
  const authorize = header[2] === undefined ? user : saslName(header[2]);
  if (authorize !== user) throw refused(user, "nobody may act for somebody else");
  return { gs2Header, bare, user, nonce: fields[2]! };
}

/**
 *     channel-binding "," nonce ["," extensions] "," proof
 */
function parseFinal(user: string, text: string) {
  const fields =
    /^(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]+)*),p=([A-Za-z0-9+/=]+)$/.exec(text);
  if (fields === null) throw refused(user, "final message is malformed");
  const [, withoutProof, binding, nonce, proof] = fields as unknown as [
    string,
    string,
    string,
    string,
    string,
  ];
  return { binding, nonce, proof: bytesOf(proof), withoutProof };
}

/** "=2C" and "=3D" stand for comma and equals sign; no other use of the equals sign is allowed. */
function saslName(text: string): string {
  if (/=(?!2C|3D)/.test(text)) throw refused("", "name is malformed");
  return text.replaceAll("=2C", ",").replaceAll("=3D", "=");
}

function bytesOf(base64: string): Buffer {
  return Buffer.from(base64, "base64");
}

function freshNonce(): string {
  return randomBytes(NONCE_BYTES).toString("base64");
}

function refused(user: string, reason: string): BrokerError {
  const text = `login refused for user '${user}': ${reason}`;
  return new BrokerError("login-refused", text, { kind: "user", name: user, reason });
}

import { readFile } from "node:fs/promises";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose";
import type { TokenClaims, TokenVerifier } from "./types.ts";

export interface TokenOptions {
  /** URL or file with a JSON Web Key Set (RFC 7517): the keys that tokens are signed with. */
  readonly keys: string;
  /** What the claim `iss` must be; null: anything. */
  readonly issuer: string | null;
  /** What the claim `aud` must be, or hold; null: anything. */
  readonly audience: string | null;
  /** A word that the claim `scope` must hold; null: none. */
  readonly scope: string | null;
  /** The claim that names the user. */
  readonly userClaim: string;
}

/** Signatures by public keys only: a key that everybody can read must not make tokens. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/** Clocks of those who issue tokens and ours may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 30;
/** A file of keys is read again for an unknown key, but not more often than this. */
const READ_AGAIN_MS = 30_000;
const FETCH_MS_MAX = 5000;

/** JSON Web Tokens (RFC 7519). */
export class JwtVerifier implements TokenVerifier {
  private readonly options: TokenOptions;
  private readonly keys: JWTVerifyGetKey;

  constructor(options: TokenOptions) {
    this.options = options;
    this.keys = /^https?:\/\//i.test(options.keys)
      ? createRemoteJWKSet(new URL(options.keys), { timeoutDuration: FETCH_MS_MAX })
      : keysOfFile(options.keys);
  }

  async verify(token: string): Promise<TokenClaims> {
    const { issuer, audience, scope, userClaim } = this.options;
    const { payload } = await jwtVerify(token, this.keys, {
      algorithms: ALGORITHMS,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ["exp", userClaim],
      ...(issuer !== null && { issuer }),
      ...(audience !== null && { audience }),
    });
    if (scope !== null && !scopesOf(payload).includes(scope)) throw new Error(`scope '${scope}' is missing`);
    const user = payload[userClaim];
    if (typeof user !== "string" || user === "") throw new Error(`claim '${userClaim}' names nobody`);
    return { user, expiresAtMs: (payload.exp as number) * 1000 };
  }
}

/** RFC 8693 section 4.2: words with spaces between them; some issuers make it a list, or call it "scp". */
function scopesOf(payload: JWTPayload): string[] {
  const scopes = payload.scope ?? payload.scp ?? [];
  return Array.isArray(scopes) ? scopes.map(String) : String(scopes).split(" ");
}

function keysOfFile(path: string): JWTVerifyGetKey {
  let keys: Promise<JWTVerifyGetKey> | null = null;
  let readAtMs = 0;
  const read = (): Promise<JWTVerifyGetKey> => {
    readAtMs = performance.now();
    return readFile(path, "utf8").then((text) => createLocalJWKSet(JSON.parse(text)));
  };
  const find = async (...asked: Parameters<JWTVerifyGetKey>) => {
    if (keys === null) {
      keys = read();
      // What could not be read is tried again with the next token.
      keys.catch(() => {
        keys = null;
      });
    }
    return (await keys)(...asked);
  };
  return async (header, token) => {
    try {
      return await find(header, token);
    } catch (error) {
      const unknown = error instanceof errors.JWKSNoMatchingKey;
      if (!unknown || performance.now() - readAtMs < READ_AGAIN_MS) throw error;
      keys = null;
      return find(header, token);
    }
  };
}

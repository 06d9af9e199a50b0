// Logins by SASL: what a client has to say and what it is answered, apart from how that is framed.
import type { Principal, ScramMechanism, TokenLogin } from "../../../broker/index.ts";
import type { Peer } from "../api.ts";
import { KafkaError } from "../errors.ts";

export interface Step {
  /** For the client; empty when there is nothing to say. */
  readonly answer: Uint8Array;
  /** Set when it is known who it is. */
  readonly principal: Principal | null;
  /** Wall-clock ms at which this ends, or null. */
  readonly expiresAtMs: number | null;
}

/** One login by one mechanism. */
export interface Login {
  /** Takes the client's next message. @throws BrokerError login-refused, KafkaError SASL_AUTHENTICATION_FAILED */
  step(message: Uint8Array): Promise<Step>;
}

const SOH = "\u0001";
const NOTHING = new Uint8Array(0);
/** What the protocol sends in front of a refused token (RFC 7628 section 3.2.2). */
const TOKEN_REFUSED = Buffer.from('{"status":"invalid_token"}');

type Begin = (peer: Peer) => Login;

const MECHANISMS: Readonly<Record<string, Begin>> = {
  PLAIN: (peer) => ({ step: (message) => plain(peer, message) }),
  "SCRAM-SHA-256": (peer) => scram(peer, "SCRAM-SHA-256"),
  "SCRAM-SHA-512": (peer) => scram(peer, "SCRAM-SHA-512"),
  OAUTHBEARER: (peer) => new TokenExchange(peer),
};

/** What is offered here: what is switched on, and can succeed. */
export function offeredMechanisms({ node }: Peer): string[] {
  const { settings, context } = node;
  return settings.saslMechanisms.filter(
    (name) => name in MECHANISMS && (name !== "OAUTHBEARER" || context.broker.acceptsTokens),
  );
}

/** Null: not offered. */
export function beginLogin(peer: Peer, mechanism: string): Login | null {
  if (!offeredMechanisms(peer).includes(mechanism)) return null;
  return (MECHANISMS[mechanism] as Begin)(peer);
}

/** [authorization id] NUL user NUL password (RFC 4616) */
async function plain({ node, loopback }: Peer, message: Uint8Array): Promise<Step> {
  const [authorize, user, password, ...rest] = Buffer.from(message).toString("utf8").split("\0");
  if (user === undefined || password === undefined || rest.length > 0)
    throw refused("malformed PLAIN message");
  if (authorize !== "" && authorize !== user) throw refused("nobody may act for somebody else");
  const principal = await node.context.broker.authenticate({ user, password, loopback });
  return { answer: NOTHING, principal, expiresAtMs: null };
}

function scram({ node, loopback }: Peer, mechanism: ScramMechanism): Login {
  const exchange = node.context.broker.scram(mechanism, loopback);
  return {
    step: async (message) => ({
      answer: await exchange.step(message),
      principal: exchange.user,
      expiresAtMs: null,
    }),
  };
}

/**
 *     gs2-header SOH *(key "=" value SOH) SOH        RFC 7628 section 3.1
 *
 * A refused token is answered with a reason; only when the client has taken note of that with a single
 * SOH has the login failed.
 */
class TokenExchange implements Login {
  private readonly peer: Peer;
  private failure: Error | null = null;

  constructor(peer: Peer) {
    this.peer = peer;
  }

  async step(message: Uint8Array): Promise<Step> {
    if (this.failure !== null) throw this.failure;
    const { token, authorize } = parseTokenMessage(Buffer.from(message).toString("utf8"));
    const { node, loopback } = this.peer;
    let login: TokenLogin;
    try {
      login = await node.context.broker.authenticateToken(token, loopback);
      if (authorize !== "" && authorize !== login.user) throw refused("nobody may act for somebody else");
    } catch (error) {
      this.failure = error as Error;
      return { answer: TOKEN_REFUSED, principal: null, expiresAtMs: null };
    }
    return { answer: NOTHING, principal: login, expiresAtMs: login.expiresAtMs };
  }
}

function parseTokenMessage(text: string): { token: string; authorize: string } {
  const [header = "", ...pairs] = text.split(SOH);
  const authorize = /^n,(?:a=([^,]*))?,$/.exec(header);
  const auth = pairs.map((pair) => /^auth=Bearer +([^ ]+)$/i.exec(pair)).find((found) => found !== null);
  if (authorize === null || auth == null || !text.endsWith(SOH + SOH)) {
    throw refused("malformed OAUTHBEARER message");
  }
  return { token: auth[1] as string, authorize: authorize[1] ?? "" };
}

function refused(reason: string): KafkaError {
  return new KafkaError("SASL_AUTHENTICATION_FAILED", reason);
}

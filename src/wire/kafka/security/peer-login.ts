import type { Timer } from "../../../base/clock.ts";
import { BrokerError } from "../../../base/errors.ts";
import type { Peer } from "../api.ts";
import { KafkaError } from "../errors.ts";
import type { Login, Step } from "./login.ts";

/** How long a client that failed waits to be told so and hung up on: guessing passwords takes its time. */
const FAILURE_DELAY_MS = 100;

/** What is known of a connection's logins: one is under way, one has come to an end. */
export class PeerLogin {
  private readonly peer: Peer;
  private login: Login | null = null;
  /** Set by the first login; later ones on the same connection are the same user's (KIP-368). */
  private user: string | null = null;
  private expiry: Timer | null = null;

  constructor(peer: Peer) {
    this.peer = peer;
    peer.onClosed(() => this.expiry?.cancel());
  }

  begin(login: Login): void {
    this.login = login;
  }

  /** Requests wait meanwhile. @throws KafkaError ILLEGAL_SASL_STATE, SASL_AUTHENTICATION_FAILED */
  async step(message: Uint8Array): Promise<Step> {
    const { login, peer } = this;
    const release = peer.hold();
    try {
      if (login === null)
        throw new KafkaError("ILLEGAL_SASL_STATE", "SaslAuthenticate without SaslHandshake");
      const step = await login.step(message);
      if (step.principal !== null) this.succeed(step);
      release();
      return step;
    } catch (error) {
      // Nothing more is taken from who failed, whoever he may have been before.
      throw await this.fail(error);
    }
  }

  /** How long the client may go on without another login, or 0 for ever. */
  lifetimeMs(step: Step): number {
    if (step.expiresAtMs === null) return 0;
    return Math.max(1, step.expiresAtMs - this.peer.node.context.clock.now());
  }

  private succeed(step: Step): void {
    const { peer } = this;
    const principal = step.principal as NonNullable<Step["principal"]>;
    if (this.user !== null && this.user !== principal.user) {
      throw new KafkaError(
        "SASL_AUTHENTICATION_FAILED",
        "another login on a connection must be the same user's",
      );
    }
    peer.login(principal);
    this.login = null;
    this.user = principal.user;
    this.expiry?.cancel();
    const lifetimeMs = this.lifetimeMs(step);
    if (lifetimeMs > 0) this.expiry = peer.node.context.clock.setTimer(lifetimeMs, () => this.expired());
  }

  private expired(): void {
    this.peer.node.context.logger.info({ connection: this.peer.name }, "login has expired");
    this.peer.close();
  }

  /** Resolves, after a while, to what the client is told before it is hung up on. */
  private async fail(error: unknown): Promise<Error> {
    const { peer } = this;
    const { clock, logger } = peer.node.context;
    this.login = null;
    logger.warn({ connection: peer.name, reason: (error as Error).message }, "login refused");
    await new Promise<void>((resolve) => clock.setTimer(FAILURE_DELAY_MS, resolve));
    clock.setTimer(0, () => peer.close());
    if (error instanceof KafkaError) return error;
    if (!(error instanceof BrokerError)) return error as Error;
    // Whether the name or the password was wrong is nobody's business; that a user has no permissions is his.
    const text = error.code === "login-refused" ? "Authentication failed: login refused" : error.message;
    return new KafkaError("SASL_AUTHENTICATION_FAILED", text);
  }
}

const logins = new WeakMap<Peer, PeerLogin>();

export function loginOf(peer: Peer): PeerLogin {
  let login = logins.get(peer);
  if (login === undefined) {
    login = new PeerLogin(peer);
    logins.set(peer, login);
  }
  return login;
}

import { BrokerError } from "../../../base/errors.ts";
import type { Peer } from "../api.ts";

/** The user of a new broker, with the password that everybody knows. */
const GUEST = { user: "guest", password: "guest" };

/**
 * Makes who comes without logging in somebody: the user that the client certificate names, or the one
 * that stands for everybody. @throws BrokerError login-refused
 */
export async function admit(peer: Peer): Promise<void> {
  const { context, settings } = peer.node;
  const named = peer.tls?.peerName ?? null;
  if (named !== null) {
    try {
      peer.login(await context.broker.principalOf(named));
      return;
    } catch (error) {
      // A certificate of somebody who is no user here is as good as none.
      if (!(error instanceof BrokerError) || error.code !== "login-refused") throw error;
    }
  }
  const { anonymousUser } = settings;
  if (anonymousUser === null) throw refused("clients must log in");
  if (anonymousUser !== GUEST.user) {
    peer.login(await context.broker.principalOf(anonymousUser));
    return;
  }
  if (!peer.loopback) {
    throw refused("only who is on this machine need not log in, unless kafka-anonymous-user names somebody");
  }
  peer.login(await context.broker.authenticate({ ...GUEST, loopback: true }));
}

function refused(reason: string): BrokerError {
  return new BrokerError("login-refused", `no login: ${reason}`, { kind: "user", name: "", reason });
}

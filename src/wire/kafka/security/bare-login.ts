import { copyBytes } from "../../../base/copy-bytes.ts";
import type { BareFrames, Peer } from "../api.ts";
import type { Login } from "./login.ts";
import { loginOf, type PeerLogin } from "./peer-login.ts";

/** A login after SaslHandshake version 0: the mechanism's messages go as they are, each behind its length. */
class BareLogin implements BareFrames {
  private readonly peer: Peer;
  private readonly login: PeerLogin;

  constructor(peer: Peer, login: PeerLogin) {
    this.peer = peer;
    this.login = login;
  }

  frame(bytes: Uint8Array, start: number, end: number, send: (frame: Uint8Array) => void): void {
    this.login.step(copyBytes(bytes, start, end)).then(
      ({ answer, principal }) => {
        if (principal !== null) this.peer.bareFrames = null;
        const size = Buffer.alloc(4);
        size.writeInt32BE(answer.length);
        send(Buffer.concat([size, answer]));
      },
      // There is no way to say why: the connection ends, as the login sees to.
      () => {},
    );
  }
}

export function takeBareLogin(peer: Peer, login: Login): void {
  const state = loginOf(peer);
  state.begin(login);
  peer.bareFrames = new BareLogin(peer, state);
}

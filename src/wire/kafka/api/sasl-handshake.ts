import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { saslHandshake } from "../schemas/sasl-handshake.ts";
import { takeBareLogin } from "../security/bare-login.ts";
import { beginLogin, offeredMechanisms } from "../security/login.ts";
import { loginOf } from "../security/peer-login.ts";

/** Chooses how to log in. After version 0 what follows has no headers; after version 1 it is SaslAuthenticate. */
export const saslHandshakeHandler = defineHandler({
  api: saslHandshake,
  beforeLogin: true,
  handle({ mechanism }, { version, peer }) {
    const mechanisms = offeredMechanisms(peer);
    const login = beginLogin(peer, mechanism);
    if (login === null) return { errorCode: CODES.UNSUPPORTED_SASL_MECHANISM, mechanisms };
    if (version === 0) takeBareLogin(peer, login);
    else loginOf(peer).begin(login);
    return { mechanisms };
  },
});

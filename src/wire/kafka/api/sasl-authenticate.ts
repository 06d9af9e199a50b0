import { defineHandler } from "../api.ts";
import { saslAuthenticate } from "../schemas/sasl-authenticate.ts";
import { loginOf } from "../security/peer-login.ts";

/** One step of the login that SaslHandshake chose. */
export const saslAuthenticateHandler = defineHandler({
  api: saslAuthenticate,
  beforeLogin: true,
  async handle({ authBytes }, { peer }) {
    const login = loginOf(peer);
    const step = await login.step(authBytes);
    return { authBytes: step.answer, sessionLifetimeMs: login.lifetimeMs(step) };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});

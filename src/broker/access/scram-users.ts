import { BrokerError } from "../../base/errors.ts";
import {
  deriveVerifier,
  matchesVerifier,
  SCRAM_ITERATIONS_MAX,
  SCRAM_ITERATIONS_MIN,
  SCRAM_MECHANISMS,
  scramHashBytes,
  verifierOf,
} from "./scram.ts";
import { fakeSaltOf, ServerScramExchange } from "./scram-exchange.ts";
import type { StoredUser, StoredVerifier, StoredVerifiers } from "./store.ts";
import type { ScramCredential, ScramExchange, ScramMechanism, ScramPassword } from "./types.ts";

/** Where users are kept. */
export interface UserShelf {
  get(name: string): StoredUser | undefined;
  put(user: StoredUser): void;
}

/**
 * The verifiers of all users. One is made for every mechanism when a password is set; for a password
 * from before there were any, when it is next seen in a login; and somebody may bring his own, which
 * then is a password by itself: the user's former one is no longer good for anything.
 */
export class ScramUsers {
  private readonly secret: Uint8Array;
  private readonly users: UserShelf;
  private readonly deriving = new Map<string, Promise<void>>();

  constructor(secret: Uint8Array, users: UserShelf) {
    this.secret = secret;
    this.users = users;
  }

  exchange(mechanism: ScramMechanism, loopback: boolean, ready: () => Promise<void>): ScramExchange {
    const { users, secret } = this;
    return new ServerScramExchange(mechanism, {
      get ready() {
        return ready();
      },
      verifier: (user) => users.get(user)?.scram?.[mechanism] ?? null,
      fakeSalt: (user) => fakeSaltOf(secret, user, mechanism),
      admit: (user) => {
        const found = users.get(user);
        if (found !== undefined && (!found.loopbackOnly || loopback)) return { user, tags: found.tags };
        const text = `login refused for user '${user}': only from this machine`;
        throw new BrokerError("login-refused", text, { kind: "user", name: user });
      },
    });
  }

  /** `password` is the user's: makes what verifiers are missing. */
  seen(user: StoredUser, password: string): void {
    const { name } = user;
    if (user.password === null || this.deriving.has(name)) return;
    if (SCRAM_MECHANISMS.every((mechanism) => user.scram?.[mechanism] !== undefined)) return;
    const made = deriveVerifiers(password).then((scram) => {
      const now = this.users.get(name);
      // Only if the password is still the same one.
      if (now?.password === user.password) this.users.put({ ...now, scram: { ...scram, ...now.scram } });
    });
    this.deriving.set(
      name,
      made.finally(() => this.deriving.delete(name)),
    );
  }

  /** How a password in the clear can be compared with the user's verifiers. */
  comparisons(user: StoredUser, password: string): { stored: string; compare: () => Promise<boolean> }[] {
    return this.verifiersOf(user).map(([mechanism, verifier]) => ({
      stored: verifier.storedKey,
      compare: () => matchesVerifier(mechanism, password, verifier),
    }));
  }

  credentialsOf(user: StoredUser): ScramCredential[] {
    return this.verifiersOf(user).map(([mechanism, { iterations }]) => ({
      user: user.name,
      mechanism,
      iterations,
    }));
  }

  /** @throws BrokerError argument-invalid */
  put({ user: name, mechanism, iterations, salt, saltedPassword }: ScramPassword): void {
    if (name === "") throw invalid(name, "name", "must not be empty");
    if (iterations < SCRAM_ITERATIONS_MIN)
      throw invalid(name, "iterations", `less than ${SCRAM_ITERATIONS_MIN}`);
    if (iterations > SCRAM_ITERATIONS_MAX)
      throw invalid(name, "iterations", `more than ${SCRAM_ITERATIONS_MAX}`);
    if (salt.length === 0) throw invalid(name, "salt", "must not be empty");
    if (saltedPassword.length !== scramHashBytes(mechanism)) {
      throw invalid(name, "salted password", `is not ${scramHashBytes(mechanism)} bytes long`);
    }
    const given = { ...verifierOf(mechanism, salt, iterations, saltedPassword), derived: false };
    const user = this.users.get(name) ?? { name, tags: [], password: null, loopbackOnly: false };
    this.users.put({ ...user, password: null, scram: { ...withoutDerived(user.scram), [mechanism]: given } });
  }

  delete(name: string, mechanism: ScramMechanism): boolean {
    const user = this.users.get(name);
    if (user?.scram?.[mechanism] == null) return false;
    this.users.put({ ...user, scram: { ...user.scram, [mechanism]: null } });
    return true;
  }

  async idle(): Promise<void> {
    await Promise.allSettled(this.deriving.values());
  }

  private verifiersOf({ scram }: StoredUser): [ScramMechanism, StoredVerifier][] {
    return SCRAM_MECHANISMS.flatMap((mechanism) => {
      const verifier = scram?.[mechanism];
      return verifier == null ? [] : [[mechanism, verifier] as [ScramMechanism, StoredVerifier]];
    });
  }
}

export async function deriveVerifiers(password: string): Promise<StoredVerifiers> {
  const made = SCRAM_MECHANISMS.map(async (mechanism) => {
    const verifier = await deriveVerifier(mechanism, password);
    return [mechanism, { ...verifier, derived: true }] as const;
  });
  return Object.fromEntries(await Promise.all(made));
}

function withoutDerived(scram: StoredVerifiers = {}): StoredVerifiers {
  return Object.fromEntries(Object.entries(scram).filter(([, verifier]) => verifier?.derived !== true));
}

function invalid(user: string, argument: string, reason: string): BrokerError {
  const text = `${argument} of user '${user}' ${reason}`;
  return new BrokerError("argument-invalid", text, { kind: "user", name: user, argument, reason });
}

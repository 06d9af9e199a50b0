import type { Broker, Principal, ScramExchange, ScramMechanism } from "../../broker/index.ts";
import type { Outbox } from "../../net/outbox.ts";
import { AUTH } from "./codec/packet.ts";
import { readProperties } from "./codec/properties.ts";
import type { Reader } from "./codec/reader.ts";
import { sendAuth } from "./packets.ts";
import { fromBroker, MqttError, protocolError, REASON } from "./reasons.ts";

const MECHANISMS: readonly string[] = ["SCRAM-SHA-256", "SCRAM-SHA-512"] satisfies ScramMechanism[];

/** What a client says in AUTH (3.15). */
interface AuthPacket {
  readonly reason: number;
  readonly method: string;
  readonly data: Uint8Array;
}

/** @throws MqttError */
export function readAuth(reader: Reader): AuthPacket {
  const reason = reader.left > 0 ? reader.octet() : REASON.success;
  const properties = reader.left > 0 ? readProperties(reader, AUTH) : {};
  reader.finish();
  const { authenticationMethod: method, authenticationData: data } = properties;
  if (reason !== REASON.continueAuthentication && reason !== REASON.reAuthenticate) {
    throw protocolError(`AUTH with reason ${reason} from a client`);
  }
  if (method === undefined) throw protocolError("AUTH without an authentication method");
  return { reason, method, data: data ?? new Uint8Array(0) };
}

/** One enhanced authentication by SCRAM (4.12), from its first data to the server's proof. */
export class Authentication {
  readonly method: string;
  private readonly exchange: ScramExchange;

  /** @throws MqttError bad authentication method */
  constructor(broker: Broker, method: string, loopback: boolean) {
    if (!MECHANISMS.includes(method)) {
      throw new MqttError(
        REASON.badAuthenticationMethod,
        `authentication method '${method}' is not known here`,
      );
    }
    this.method = method;
    this.exchange = broker.scram(method as ScramMechanism, loopback);
  }

  /** Who the client has proven to be; null until then. */
  get principal(): Principal | null {
    return this.exchange.user;
  }

  /** The answer to the client's next data. @throws BrokerError login-refused */
  step(data: Uint8Array): Promise<Uint8Array> {
    return this.exchange.step(data);
  }

  /** @throws MqttError when the packet belongs to another method [MQTT-4.12.0-5] */
  check({ method }: AuthPacket): void {
    if (method !== this.method) throw protocolError("authentication method changed");
  }
}

/** Authentication of an open connection, started over by the client (4.12.1). */
export class ReAuthentication {
  private readonly broker: Broker;
  private readonly method: string;
  private readonly user: string;
  private readonly loopback: boolean;
  private current: Authentication | null = null;
  private busy = false;

  constructor(broker: Broker, method: string, user: string, loopback: boolean) {
    this.broker = broker;
    this.method = method;
    this.user = user;
    this.loopback = loopback;
  }

  /** @throws MqttError */
  take(reader: Reader, outbox: Outbox, failed: (error: MqttError) => void): void {
    const packet = readAuth(reader);
    if (this.busy) throw protocolError("AUTH before the last one was answered");
    if (packet.reason === REASON.reAuthenticate) {
      this.current = new Authentication(this.broker, this.method, this.loopback);
    }
    const { current } = this;
    if (current === null) throw protocolError("nothing to continue");
    current.check(packet);
    this.busy = true;
    current.step(packet.data).then(
      (answer) => this.answer(current, answer, outbox, failed),
      // DISCONNECT has no word of its own for a wrong password (3.14.2.1).
      (error: unknown) => failed(new MqttError(REASON.notAuthorized, fromBroker(error).message)),
    );
  }

  private answer(
    current: Authentication,
    data: Uint8Array,
    outbox: Outbox,
    failed: (error: MqttError) => void,
  ): void {
    this.busy = false;
    const { principal, method } = current;
    const reason = principal === null ? REASON.continueAuthentication : REASON.success;
    if (principal !== null && principal.user !== this.user) {
      failed(new MqttError(REASON.notAuthorized, "re-authenticated as another user"));
      return;
    }
    if (principal !== null) this.current = null;
    sendAuth(outbox, reason, { authenticationMethod: method, authenticationData: data });
  }
}

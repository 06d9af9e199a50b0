import { randomUUID } from "node:crypto";
import type { Principal, Session } from "../../broker/index.ts";
import type { Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { Authentication, ReAuthentication, readAuth } from "./authentication.ts";
import { type Connect, readConnect, readLevel } from "./codec/connect.ts";
import { AUTH, CONNECT, LEVEL_3_1, LEVEL_5 } from "./codec/packet.ts";
import type { Properties } from "./codec/properties.ts";
import { Reader } from "./codec/reader.ts";
import type { Negotiated } from "./open.ts";
import { sendAuth, sendConnack } from "./packets.ts";
import { fromBroker, MqttError, protocolError, REASON } from "./reasons.ts";
import { EXPIRY_NEVER } from "./session.ts";
import type { MqttSettings } from "./settings.ts";
import type { Space } from "./space.ts";

const GUEST = { user: "guest", password: "guest" };
const DEFAULT_NAMESPACE = "/";
/** Before MQTT 5 (3.1, CONNECT): more was never allowed. */
const CLIENT_ID_CHARACTERS_3_1 = 23;

export interface HandshakeOutcome {
  /** Where a namespace's clients are kept. @throws BrokerError */
  space(namespace: string): Space;
  /** Everything is known: the connection can begin. */
  opened(negotiated: Negotiated): void;
  /** The handshake waits for something, or no longer: nothing is read meanwhile. */
  waiting(waits: boolean): void;
  /** It failed, and the client was told what can be told. */
  ended(): void;
}

/** Who a client is, and where it goes. */
interface Login {
  readonly principal: Principal;
  readonly namespace: string;
}

/** A connection that is not open yet: CONNECT, perhaps AUTH back and forth, then CONNACK (3.1, 4.12). */
export class Handshake {
  readonly kind = "handshake";
  private readonly context: ProtocolContext<MqttSettings>;
  private readonly transport: Transport;
  private readonly outcome: HandshakeOutcome;
  private leftMs: number;
  private connect: Connect | null = null;
  private authentication: Authentication | null = null;
  private over = false;

  constructor(context: ProtocolContext<MqttSettings>, transport: Transport, outcome: HandshakeOutcome) {
    this.context = context;
    this.transport = transport;
    this.outcome = outcome;
    this.leftMs = context.limits.handshakeMsMax;
  }

  /** False for the first byte of something that cannot be MQTT, or comes before CONNECT [MQTT-3.1.0-1]. */
  expects(first: number): boolean {
    return this.connect !== null || first === CONNECT << 4;
  }

  packet(bytes: Uint8Array, at: number, bodyAt: number, end: number): void {
    const reader = new Reader(bytes, bodyAt, end);
    let level = 0;
    try {
      const first = bytes[at] as number;
      if (this.connect === null) {
        const spoken = readLevel(reader);
        level = spoken.level;
        this.connect = readConnect(reader, level, spoken.bridge);
        this.logIn(this.connect);
      } else this.continue(first, reader);
    } catch (error) {
      this.refuse(fromBroker(error), level);
    }
  }

  private continue(first: number, reader: Reader): void {
    if (this.authentication === null || first !== AUTH << 4) throw protocolError("packet before CONNACK");
    const packet = readAuth(reader);
    this.authentication.check(packet);
    if (packet.reason !== REASON.continueAuthentication) throw protocolError("AUTH that does not continue");
    this.authenticate(this.authentication, packet.data);
  }

  // --- who is it ---------------------------------------------------------------------------------

  private logIn(connect: Connect): void {
    const { authenticationMethod: method, authenticationData } = connect.properties;
    if (method !== undefined) {
      this.authentication = new Authentication(this.context.broker, method, this.transport.loopback);
      this.authenticate(this.authentication, authenticationData ?? new Uint8Array(0));
      return;
    }
    this.await(this.principal(connect), (login) => this.enter(connect, login));
  }

  private authenticate(authentication: Authentication, data: Uint8Array): void {
    this.await(authentication.step(data), (answer) => {
      const { principal, method } = authentication;
      if (principal === null) {
        const properties = { authenticationMethod: method, authenticationData: answer };
        sendAuth(this.transport.outbox, REASON.continueAuthentication, properties);
        return;
      }
      const connect = this.connect as Connect;
      const namespace = connect.user === null ? null : namespaceOf(connect.user)[0];
      this.enter(connect, { principal, namespace: namespace ?? DEFAULT_NAMESPACE }, answer);
    });
  }

  private async principal({ user, password }: Connect): Promise<Login> {
    const { broker } = this.context;
    const { loopback, tls } = this.transport;
    if (user === null) {
      // A certificate's name is as good as a password.
      if (tls?.peerName != null) {
        return { principal: await broker.principalOf(tls.peerName), namespace: DEFAULT_NAMESPACE };
      }
      return { principal: await this.anonymous(), namespace: DEFAULT_NAMESPACE };
    }
    const [namespace, name] = namespaceOf(user);
    const secret = password === null ? "" : Buffer.from(password).toString();
    const principal = await broker.authenticate({ user: name, password: secret, loopback });
    return { principal, namespace: namespace ?? DEFAULT_NAMESPACE };
  }

  /** Guest is let in where everybody would be who knows its password; any other user as who runs the broker says. */
  private async anonymous(): Promise<Principal> {
    const { broker, settings } = this.context;
    const { anonymousUser } = settings;
    if (anonymousUser === null) throw new MqttError(REASON.notAuthorized, "clients must log in");
    if (anonymousUser !== GUEST.user) return broker.principalOf(anonymousUser);
    if (!this.transport.loopback) {
      const text =
        "only who is on this machine, or a page from it, need not log in, unless mqtt-anonymous-user names somebody";
      throw new MqttError(REASON.notAuthorized, text);
    }
    return broker.authenticate({ ...GUEST, loopback: true });
  }

  private await<T>(promise: Promise<T>, done: (value: T) => void): void {
    this.outcome.waiting(true);
    const after = (action: () => void): void => {
      if (this.over) return;
      try {
        action();
      } catch (error) {
        this.refuse(fromBroker(error));
      }
      this.outcome.waiting(false);
    };
    promise.then(
      (value) => after(() => done(value)),
      (error: unknown) =>
        after(() => {
          throw error;
        }),
    );
  }

  // --- let in ------------------------------------------------------------------------------------

  private enter(connect: Connect, { principal, namespace }: Login, proof?: Uint8Array): void {
    const { context, transport } = this;
    const { settings, broker } = context;
    const assigned = this.assignedId(connect);
    const clientId = assigned ?? connect.clientId;
    const space = this.outcome.space(namespace);
    const access: Session = broker.openSession(principal, namespace, { connectionName: transport.name });
    const asked = askedExpiry(connect);
    const expirySeconds = Math.min(asked, settings.sessionExpirySecondsMax ?? asked);
    const keepAliveSeconds = this.keepAlive(connect);
    const { session, present } = space.attach(connect, clientId, principal.user, expirySeconds);
    const { authenticationMethod: method } = connect.properties;
    const reAuthentication =
      method === undefined ? null : new ReAuthentication(broker, method, principal.user, transport.loopback);
    this.over = true;
    this.outcome.opened({
      connect,
      clientId,
      broker: access,
      space,
      session,
      present,
      keepAliveSeconds,
      reAuthentication,
      properties: {
        ...(expirySeconds !== asked && { sessionExpiry: expirySeconds }),
        receiveMax: settings.receiveMax,
        topicAliasMax: settings.topicAliasMax,
        packetBytesMax: packetBytesMax(context),
        ...(assigned !== null && { assignedClientId: assigned }),
        ...(keepAliveSeconds !== connect.keepAliveSeconds && { serverKeepAlive: keepAliveSeconds }),
        ...(connect.properties.requestResponse === 1 && { responseInformation: `replies/${clientId}` }),
        ...(method !== undefined &&
          proof !== undefined && { authenticationMethod: method, authenticationData: proof }),
      },
    });
  }

  /** Null when the client's own will do. @throws MqttError client id not valid */
  private assignedId({ level, clientId, cleanStart }: Connect): string | null {
    if (clientId !== "") return null;
    // [MQTT-3.1.3-8]; 3.1 wants 1 to 23 characters.
    if (level === LEVEL_3_1 || (level !== LEVEL_5 && !cleanStart)) {
      throw new MqttError(
        REASON.clientIdNotValid,
        `no client id, of up to ${CLIENT_ID_CHARACTERS_3_1} characters`,
      );
    }
    return `polymq-${randomUUID()}`;
  }

  private keepAlive({ level, keepAliveSeconds }: Connect): number {
    const max = this.context.settings.keepAliveSecondsMax;
    if (max === null || level !== LEVEL_5) return keepAliveSeconds;
    return keepAliveSeconds === 0 || keepAliveSeconds > max ? max : keepAliveSeconds;
  }

  private refuse(error: MqttError, known = 0): void {
    if (this.over) return;
    this.over = true;
    const { transport, context } = this;
    context.logger.warn(
      { connection: transport.name, reason: error.reason },
      `login refused: ${error.message}`,
    );
    // Of a version that is not known an answer is guessed (3.1.2.2): that of the oldest is a byte.
    const guessed = error.reason === REASON.unsupportedVersion ? LEVEL_3_1 : 0;
    const level = this.connect?.level ?? (known === 0 ? guessed : known);
    if (level !== 0) {
      const properties: Properties = level === LEVEL_5 ? { reasonString: error.message } : {};
      sendConnack(transport.outbox, level, false, error.reason, properties);
    }
    this.outcome.ended();
  }

  /** Called by the acceptor's sweep. */
  tick(elapsedMs: number): void {
    this.leftMs -= elapsedMs;
    if (this.leftMs <= 0) this.transport.destroy();
  }

  closed(): void {
    this.over = true;
  }
}

/** "vhost:user", as RabbitMQ reads it; a name without a colon belongs to the default namespace. */
function namespaceOf(user: string): [namespace: string | null, name: string] {
  const colon = user.indexOf(":");
  return colon < 0 ? [null, user] : [user.slice(0, colon), user.slice(colon + 1)];
}

/** Before MQTT 5 a session ends with its connection, or not at all. */
function askedExpiry({ level, cleanStart, properties }: Connect): number {
  if (level === LEVEL_5) return properties.sessionExpiry ?? 0;
  return cleanStart ? 0 : EXPIRY_NEVER;
}

/** Topic, properties and head come on top of the payload. */
const PACKET_BYTES_BESIDES_PAYLOAD = 256 * 1024;

export function packetBytesMax({ limits }: Pick<ProtocolContext, "limits">): number {
  return limits.messageBytesMax + PACKET_BYTES_BESIDES_PAYLOAD;
}

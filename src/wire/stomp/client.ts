import { BrokerError } from "../../base/errors.ts";
import {
  type CommitWaiter,
  PUBLISH_APART,
  PUBLISH_PENDING,
  PUBLISH_REFUSED,
  PUBLISH_UNROUTED,
  type Session,
} from "../../broker/index.ts";
import type { RecordReaders } from "../../message/reader.ts";
import type { Outbox } from "../../net/outbox.ts";
import type { Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { type Frame, FrameWriter, type Version } from "./codec/frame.ts";
import { type Destination, type Dialect, parseDestination } from "./destination.ts";
import { StompError } from "./errors.ts";
import { StompIncoming } from "./incoming.ts";
import type { Link } from "./link.ts";
import { type Address, OwnQueues } from "./own-queues.ts";
import { flag } from "./queue-arguments.ts";
import { Receipts } from "./receipts.ts";
import { Sources } from "./sources.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Targets } from "./targets.ts";
import { type KeptSend, type KeptSettlement, Transaction } from "./transaction.ts";

export interface ClientParts {
  readonly context: ProtocolContext;
  readonly transport: Transport;
  readonly session: Session;
  readonly version: Version;
  readonly dialect: Dialect;
  readonly sessionId: string;
  /** ActiveMQ: names durable subscriptions. */
  readonly clientId: string | undefined;
  /** The client said DISCONNECT, and has its receipt if it wanted one. */
  readonly onDisconnect: () => void;
  /** Something became durable: reading may go on. */
  readonly onCommitted: () => void;
  /** What a frame sent is not kept, though it seemed to be. `receipt`: what it asked for. */
  readonly onLost: (error: StompError, receipt: string | undefined) => void;
}

interface PendingChunk {
  readonly batch: number;
  readonly bytes: number;
  readonly done: readonly (() => void)[];
  readonly apart: { readonly receipt: string | undefined } | null;
}

const TRANSACTIONS_MAX = 1024;

/** A client that is logged in: what its frames do. */
export class Client implements Link, CommitWaiter {
  readonly session: Session;
  readonly outbox: Outbox;
  readonly version: Version;
  readonly dialect: Dialect;
  readonly sessionId: string;
  readonly readers: RecordReaders;
  live = true;
  private readonly parts: ClientParts;
  private readonly targets: Targets;
  private readonly incoming = new StompIncoming();
  private readonly own: OwnQueues;
  private readonly subscriptions: Subscriptions;
  private readonly transactions = new Map<string, Transaction>();
  private readonly receipts = new Receipts((id) => this.sendReceipt(id));
  /** Publishes of this chunk that are not durable yet. */
  private unassigned: (() => void)[] = [];
  private unassignedBytes = 0;
  /** The first frame of this chunk that sent something to a stream. */
  private apart: PendingChunk["apart"] = null;
  private readonly pending: PendingChunk[] = [];
  pendingBytes = 0;
  /** Something was published in this chunk. */
  published = false;

  constructor(parts: ClientParts) {
    this.parts = parts;
    this.session = parts.session;
    this.outbox = parts.transport.outbox;
    this.version = parts.version;
    this.dialect = parts.dialect;
    this.sessionId = parts.sessionId;
    this.readers = parts.context.readers;
    const { session, dialect, clientId } = parts;
    this.own = new OwnQueues(session);
    this.targets = new Targets(session, dialect, this.own);
    const sources = new Sources({ session, dialect, clientId, targets: this.targets, own: this.own });
    this.subscriptions = new Subscriptions(this, sources);
  }

  /** Acts on one frame. @throws FrameError, DestinationError, StompError, BrokerError */
  frame(frame: Frame): void {
    switch (frame.command) {
      case "SEND":
        this.send(frame);
        return;
      case "ACK":
        this.settle(frame, true);
        return;
      case "NACK":
        this.settle(frame, false);
        return;
      case "SUBSCRIBE":
        this.subscribe(frame);
        return;
      case "UNSUBSCRIBE":
        this.unsubscribe(frame);
        return;
      case "BEGIN":
        this.begin(frame);
        return;
      case "COMMIT":
        this.commit(frame);
        return;
      case "ABORT":
        this.transactions.delete(this.openTransaction(frame).id);
        this.acknowledge(frame);
        return;
      case "DISCONNECT":
        this.disconnect(frame);
        return;
      case "CONNECT":
      case "STOMP":
        throw new StompError("Already logged in", "CONNECT may be sent once");
      default:
        throw new StompError("Bad command", `Could not interpret command ${JSON.stringify(frame.command)}`);
    }
  }

  // --- sending --------------------------------------------------------------------------------

  private send(frame: Frame): void {
    const { version, incoming } = this;
    const get = (name: string): string | undefined => frame.get(name, version);
    if (this.dialect === "rabbitmq" && frame.find("message-id") >= 0)
      throw new StompError("Invalid header", "'message-id' is not allowed on 'SEND'.");
    const targets = this.targets.find(this.required(frame, "destination"), get);
    const user = get("user-id");
    if (user !== undefined && user !== this.session.user) {
      const text = `user_id property set to '${user}' but authenticated user was '${this.session.user}'`;
      throw new BrokerError("user-id-mismatch", text);
    }
    const replyTo = this.replyTo(get("reply-to"));
    const now = this.parts.context.clock.now();
    const routing = targets[0]?.routing as Uint8Array;
    incoming.fill(frame, version, this.dialect, routing, replyTo, now);
    if (incoming.bodyBytes > this.parts.context.limits.messageBytesMax)
      throw new StompError(
        "precondition_failed",
        `message size ${incoming.bodyBytes} is larger than allowed`,
      );
    this.published = true;
    const transaction = get("transaction");
    if (transaction !== undefined) {
      this.transaction(transaction).send(incoming, targets);
      this.acknowledge(frame);
      return;
    }
    let pending = false;
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i] as (typeof targets)[number];
      // A composite destination is one message each, under its own address.
      if (i > 0) incoming.fill(frame, version, this.dialect, target.routing, replyTo, now);
      const outcome = this.session.publish(target.route as NonNullable<typeof target.route>, incoming);
      if ((outcome & 3) === PUBLISH_REFUSED)
        throw new StompError("precondition_failed", `'${target.key}' is full and refuses messages`);
      if ((outcome & PUBLISH_UNROUTED) === 0 && (outcome & 3) === PUBLISH_PENDING) pending = true;
      if ((outcome & PUBLISH_APART) !== 0) this.apart ??= { receipt: get("receipt") };
    }
    if (pending) this.unassignedBytes += incoming.nativeEnd - incoming.nativeStart;
    const receipt = get("receipt");
    if (receipt !== undefined) this.receipt(receipt, pending);
  }

  /** A receipt once all that was published and declared so far is durable. */
  private receipt(id: string, published: boolean): void {
    const declared = (done: () => void): void => this.parts.context.broker.durable(done);
    if (published) this.receipts.add(id, declared, (done) => this.unassigned.push(done));
    else this.receipts.add(id, declared);
  }

  private acknowledge(frame: Frame): void {
    const receipt = frame.get("receipt", this.version);
    if (receipt !== undefined) this.receipt(receipt, false);
  }

  /** A temporary queue in reply-to is made, subscribed to, and named so that others can send to it. */
  private replyTo(header: string | undefined): string | null {
    if (header === undefined || !/^\/temp-(queue|topic)\//.test(header)) return null;
    const [destination] = parseDestination(header, this.dialect);
    const { exchange, key } = this.own.address(destination as Destination) as Address;
    if (this.dialect === "activemq") return `/${exchange === "" ? "queue" : "topic"}/${key}`;
    if (!this.subscriptions.has(header)) {
      this.subscriptions.consume(header, { queue: key, ownsQueue: true, destination: null }).announce();
    }
    return `/reply-queue/${key}`;
  }

  // --- subscriptions --------------------------------------------------------------------------

  private subscribe(frame: Frame): void {
    const { version } = this;
    const destination = this.required(frame, "destination");
    const id = version === 0 ? (frame.get("id", version) ?? `Q_${destination}`) : this.required(frame, "id");
    const subscription = this.subscriptions.subscribe(frame, destination, id);
    const receipt = frame.get("receipt", version);
    if (receipt === undefined) {
      subscription.announce();
      return;
    }
    // The receipt of a subscription comes before its first message.
    const { broker } = this.parts.context;
    this.receipts.add(receipt, (done) =>
      broker.durable(() => {
        done();
        subscription.announce();
      }),
    );
  }

  private unsubscribe(frame: Frame): void {
    const { version } = this;
    const destination = frame.get("destination", version);
    const derived = version === 0 && destination !== undefined ? `Q_${destination}` : undefined;
    const id = frame.get("id", version) ?? derived;
    if (id === undefined)
      throw new StompError(
        "Missing destination or id",
        "UNSUBSCRIBE must include a 'destination' or 'id' header",
      );
    this.subscriptions.unsubscribe(frame, id);
    this.acknowledge(frame);
  }

  subscriptionCancelled(id: string): void {
    if (!this.live) return;
    const headers = [
      ["message", "Server cancelled subscription"],
      ["subscription", id],
      ["content-type", "text/plain"],
    ] as const;
    const text = "The server has canceled a subscription. No more messages will be delivered.\n";
    this.write("ERROR", headers, text);
  }

  private settle(frame: Frame, accept: boolean): void {
    const { version } = this;
    const id = this.required(frame, version === 2 ? "id" : "message-id");
    const requeue = flag("requeue", frame.get("requeue", version) ?? `${this.dialect === "rabbitmq"}`);
    const settlement = this.subscriptions.settlement(id, accept, requeue);
    const transaction = frame.get("transaction", version);
    if (transaction !== undefined) this.transaction(transaction).settle(settlement);
    else {
      settleNow(settlement);
      this.subscriptions.forgetEnded();
    }
    const receipt = frame.get("receipt", version);
    if (receipt !== undefined) this.receipt(receipt, true);
  }

  // --- transactions ---------------------------------------------------------------------------

  private begin(frame: Frame): void {
    const id = this.required(frame, "transaction");
    if (this.transactions.has(id))
      throw new StompError("Bad transaction", `Transaction '${id}' has begun already`);
    if (this.transactions.size >= TRANSACTIONS_MAX)
      throw new StompError("not_allowed", "too many transactions");
    this.transactions.set(id, new Transaction(this.parts.context.limits.messageBytesMax * 4));
    this.acknowledge(frame);
  }

  private transaction(id: string): Transaction {
    const transaction = this.transactions.get(id);
    if (transaction === undefined)
      throw new StompError("Bad transaction", `Invalid transaction identifier: ${JSON.stringify(id)}`);
    return transaction;
  }

  private openTransaction(frame: Frame): { id: string; transaction: Transaction } {
    const id = this.required(frame, "transaction");
    return { id, transaction: this.transaction(id) };
  }

  /** All of it is one batch. */
  private commit(frame: Frame): void {
    const { id, transaction } = this.openTransaction(frame);
    this.transactions.delete(id);
    let refused: string | null = null;
    this.session.atomically(() => {
      for (const kept of transaction.sends) refused = this.publishKept(kept) ?? refused;
      for (const settlement of transaction.settlements) {
        // A delivery may have gone back since (its acknowledgement timed out): then there is nothing to settle.
        if (settlement.ledger.has(settlement.tag)) settleNow(settlement);
      }
    });
    this.subscriptions.forgetEnded();
    if (refused !== null)
      throw new StompError("precondition_failed", `'${refused}' is full and refuses messages`);
    const receipt = frame.get("receipt", this.version);
    if (receipt !== undefined) this.receipt(receipt, true);
  }

  /** Returns the name of a queue that refused it, or null. */
  private publishKept(kept: KeptSend): string | null {
    const { incoming } = this;
    let refused: string | null = null;
    for (const target of kept.targets) {
      if (target.route?.valid !== true) target.route = this.session.route(target.exchange, target.key);
      incoming.restore(kept, target.routing);
      const outcome = this.session.publish(target.route, incoming);
      if ((outcome & 3) === PUBLISH_REFUSED) refused = target.key;
      else if ((outcome & 3) === PUBLISH_PENDING) this.unassignedBytes += kept.bytes.length;
      if ((outcome & PUBLISH_APART) !== 0) this.apart ??= { receipt: undefined };
    }
    return refused;
  }

  // --- the connection -------------------------------------------------------------------------

  private disconnect(frame: Frame): void {
    const receipt = frame.get("receipt", this.version);
    const leave = (): void => {
      if (this.live) this.parts.onDisconnect();
    };
    if (receipt === undefined) {
      leave();
      return;
    }
    this.receipt(receipt, true);
    this.receipts.add("", (done) => this.unassigned.push(done));
    this.leaving = leave;
  }

  private leaving: (() => void) | null = null;

  /** DISCONNECT was read: nothing that follows counts. */
  get isLeaving(): boolean {
    return this.leaving !== null;
  }

  private sendReceipt(id: string): void {
    if (!this.live) return;
    if (this.leaving !== null && id === "") this.leaving();
    else this.write("RECEIPT", [["receipt-id", id]], "");
  }

  /** At the end of each chunk that was read: what was published in it shares one wait. */
  finishChunk(): void {
    this.targets.refresh();
    if (this.unassigned.length === 0 && this.unassignedBytes === 0) return;
    if (!this.live) return;
    const batch = this.session.whenCommitted(this);
    this.pending.push({ batch, bytes: this.unassignedBytes, done: this.unassigned, apart: this.apart });
    this.pendingBytes += this.unassignedBytes;
    this.unassigned = [];
    this.apart = null;
    this.unassignedBytes = 0;
  }

  committed(batch: number, lost: boolean): void {
    while (this.pending[0] !== undefined && this.pending[0].batch <= batch) {
      const { bytes, done, apart, ...chunk } = this.pending.shift() as PendingChunk;
      this.pendingBytes -= bytes;
      if (lost && apart !== null && chunk.batch === batch) {
        const error = new StompError("internal_error", "the storage of a stream has failed");
        this.parts.onLost(error, apart.receipt);
        return;
      }
      for (const tell of done) tell();
    }
    this.parts.onCommitted();
  }

  resume(): void {
    this.subscriptions.resume();
  }

  write(command: string, headers: readonly (readonly [string, string])[], text: string): void {
    writeFrame(this.outbox, this.version, command, headers, text);
  }

  close(): void {
    if (!this.live) return;
    this.live = false;
    this.subscriptions.close();
    this.session.close();
  }

  private required(frame: Frame, name: string): string {
    const value = frame.get(name, this.version);
    if (value === undefined)
      throw new StompError(
        MISSING[name] ?? "Missing header",
        `Header '${name}' is required by ${frame.command}`,
      );
    return value;
  }
}

/** RabbitMQ's words. */
const MISSING: Readonly<Record<string, string>> = {
  destination: "Missing destination",
  transaction: "Missing transaction",
};

function settleNow({ ledger, tag, multiple, accept, requeue }: KeptSettlement): void {
  if (accept) ledger.accept(tag, multiple);
  else ledger.reject(tag, multiple, requeue);
}

const control = new FrameWriter();

/** Writes a frame of the server's own. */
export function writeFrame(
  outbox: Outbox,
  version: Version,
  command: string,
  headers: readonly (readonly [string, string])[],
  text: string,
): void {
  control.begin(command);
  for (const [name, value] of headers) {
    // CONNECTED is never escaped, so that 1.0 clients can read it.
    if (command === "CONNECTED") control.utf8(`${name}:${value}\n`);
    else control.header(name, value, version);
  }
  if (text !== "") control.ascii(`content-length:${Buffer.byteLength(text)}\n`);
  control.octet(0x0a);
  control.utf8(text);
  control.ascii("\0\n");
  outbox.copy(control.buffer, 0, control.length);
}

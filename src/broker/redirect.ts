import { encodeRouting } from "../message/record.ts";
import type { Table } from "../message/values.ts";
import type { Incoming, QueueHandle, Route } from "./types.ts";

/** A route that stands for another one: what is published to it gets the other's exchange and routing key. */
export class RedirectedRoute implements Route {
  readonly exchange: string;
  readonly routingKey: string;
  readonly redirect: Route;

  constructor(exchange: string, routingKey: string, redirect: Route) {
    this.exchange = exchange;
    this.routingKey = routingKey;
    this.redirect = redirect;
  }

  get valid(): boolean {
    return this.redirect.valid;
  }

  get queues(): readonly QueueHandle[] {
    return this.redirect.queues;
  }

  get dynamic(): boolean {
    return this.redirect.dynamic;
  }

  get delaying(): boolean {
    return this.redirect.delaying;
  }
}

/** A message under another address. */
export class Readdressed implements Incoming {
  readonly origin: number;
  readonly bytes: Uint8Array;
  readonly routingStart = 0;
  readonly routingEnd: number;
  readonly nativeStart: number;
  readonly nativeEnd: number;
  readonly bodyBytes: number;
  readonly persistent: boolean;
  readonly priority: number;
  readonly expirationMs: number;
  readonly delayMs: number;
  readonly retain: boolean;
  readonly copies = null;
  readonly blindCopies = null;
  private readonly message: Incoming;

  constructor(message: Incoming, to: Route) {
    const routing = encodeRouting(to.exchange, to.routingKey);
    this.message = message;
    this.bytes = Buffer.concat([routing, message.bytes.subarray(message.nativeStart, message.nativeEnd)]);
    this.routingEnd = routing.length;
    this.nativeStart = routing.length;
    this.nativeEnd = this.bytes.length;
    this.origin = message.origin;
    this.bodyBytes = message.bodyBytes;
    this.persistent = message.persistent;
    this.priority = message.priority;
    this.expirationMs = message.expirationMs;
    this.delayMs = message.delayMs;
    this.retain = message.retain === true;
  }

  headers(): Table | null {
    return this.message.headers();
  }

  property(name: string): string | null {
    return this.message.property(name);
  }
}

import { randomBytes } from "node:crypto";
import type { Table } from "../../message/values.ts";
import { valuesEqual } from "../../message/values.ts";
import { EXCHANGE_TYPES } from "../router/types.ts";
import type { ExchangeDeclaration, Owner, QueueDeclaration, QueueHandle, QueueOptions } from "../types.ts";
import { ALTERNATE_ARGUMENT, SOURCE_ARGUMENT } from "./graph.ts";
import { inequivalent, invalidArgument, queueLocked } from "./refusals.ts";

export const RESERVED_PREFIX = "amq.";
const GENERATED_PREFIX = "amq.gen-";
/** Where reply addresses that are topics lead. */
export const REPLY_TOPIC_EXCHANGE = "amq.topic";
/** As a name for itself, stands for the direct replies of whoever asks. */
export const REPLY_NAME = "amq.rabbitmq.reply-to";
export const REPLY_PREFIX = `${REPLY_NAME}.`;

const NO_ARGUMENTS: Table = new Map();

/** The exchanges that every namespace is born with. */
export const PREDECLARED_EXCHANGES: readonly ExchangeDeclaration[] = [
  predeclared("amq.direct", "direct"),
  predeclared("amq.fanout", "fanout"),
  predeclared(REPLY_TOPIC_EXCHANGE, "topic"),
  predeclared("amq.headers", "headers"),
  predeclared("amq.match", "headers"),
  { ...predeclared("amq.rabbitmq.trace", "topic"), internal: true },
];

export const DEFAULT_EXCHANGE: ExchangeDeclaration = predeclared("", "direct");

function predeclared(name: string, type: string): ExchangeDeclaration {
  return { name, type, durable: true, autoDelete: false, internal: false, arguments: NO_ARGUMENTS };
}

/** 22 url-safe characters that nobody guesses. */
function randomToken(): string {
  return randomBytes(16).toString("base64url");
}

export function generatedQueueName(): string {
  return GENERATED_PREFIX + randomToken();
}

export function replyQueueDeclaration(): QueueDeclaration {
  return {
    name: REPLY_PREFIX + randomToken(),
    durable: false,
    exclusive: true,
    autoDelete: false,
    options: {},
    arguments: NO_ARGUMENTS,
  };
}

/** Exclusive queues end with their connection, so there is nothing to keep of one that asks to be durable. */
export function effectiveDeclaration(declaration: QueueDeclaration, name: string): QueueDeclaration {
  const durable = declaration.durable && !declaration.exclusive;
  // An empty map is 200 bytes, and most queues have one.
  const args = declaration.arguments.size === 0 ? NO_ARGUMENTS : declaration.arguments;
  return { ...declaration, name, durable, arguments: args };
}

/** What only classic queues can be. @throws BrokerError argument-invalid */
export function checkQueueDeclaration(declaration: QueueDeclaration, namespace: string): void {
  const { name, exclusive, autoDelete, durable, options } = declaration;
  const type = typeOf(options);
  if (type === "classic") return;
  const refuse = (option: string) =>
    invalidArgument("queue", name, namespace, option, `does not go with queue type ${type}`);
  if (name === "") throw refuse("name");
  if (exclusive) throw refuse("exclusive");
  if (autoDelete) throw refuse("autoDelete");
  if (!durable) throw refuse("durable");
}

/** Arguments of exchanges that act here. */
const NAMING_ARGUMENTS = [ALTERNATE_ARGUMENT, SOURCE_ARGUMENT];

/** The alternate exchange, and the stream that feeds it, must be named by a string. @throws BrokerError argument-invalid */
export function checkExchangeDeclaration(declaration: ExchangeDeclaration, namespace: string): void {
  for (const argument of NAMING_ARGUMENTS) {
    const typed = declaration.arguments.get(argument);
    if (typed === undefined || typed.type === "string") continue;
    const reason = `has type ${typed.type}, expected a string`;
    throw invalidArgument("exchange", declaration.name, namespace, argument, reason);
  }
}

export function isExchangeType(type: string): boolean {
  return EXCHANGE_TYPES.has(type);
}

/** @throws BrokerError inequivalent */
export function checkSameExchange(
  current: ExchangeDeclaration,
  received: ExchangeDeclaration,
  namespace: string,
): void {
  for (const option of ["type", "durable", "autoDelete", "internal"] as const) {
    if (current[option] === received[option]) continue;
    throw inequivalent("exchange", current.name, namespace, option, received[option], current[option]);
  }
  for (const argument of NAMING_ARGUMENTS) {
    const [now, then] = [received.arguments.get(argument), current.arguments.get(argument)];
    const same = now === undefined || then === undefined ? now === then : valuesEqual(now, then);
    if (!same) throw inequivalent("exchange", current.name, namespace, argument, now, then);
  }
}

/** Every option there is, in the order in which RabbitMQ compares: one that is added to QueueOptions has to be
 *  compared before this compiles. */
const COMPARED: Readonly<Record<keyof QueueOptions, true>> = {
  expiresMs: true,
  messageTtlMs: true,
  deadLetterExchange: true,
  deadLetterRoutingKey: true,
  lengthMax: true,
  lengthBytesMax: true,
  priorityMax: true,
  overflow: true,
  singleActiveConsumer: true,
  type: true,
  deliveryLimit: true,
  discipline: true,
  retry: true,
  consumerTimeoutMs: true,
  durability: true,
  volatile: true,
  ageMaxMs: true,
  segmentBytesMax: true,
  partitions: true,
  transientBytesMax: true,
};
const COMPARED_OPTIONS = Object.keys(COMPARED) as (keyof QueueOptions)[];

/** `received` is effective already. @throws BrokerError queue-locked, inequivalent */
export function checkSameQueue(
  queue: QueueHandle,
  received: QueueDeclaration,
  owner: Owner | null,
  namespace: string,
): void {
  const { declaration: current, name } = queue;
  // The owner must be the same, nobody included: a shared queue cannot be declared again as exclusive.
  if (queue.owner !== (received.exclusive ? owner : null)) throw queueLocked(name, namespace);
  for (const option of ["durable", "autoDelete"] as const) {
    if (current[option] === received[option]) continue;
    throw inequivalent("queue", name, namespace, option, received[option], current[option]);
  }
  for (const option of COMPARED_OPTIONS) {
    const [now, then] = [optionOf(received.options, option), optionOf(current.options, option)];
    if (!sameOption(now, then)) throw inequivalent("queue", name, namespace, option, now, then);
  }
}

function typeOf(options: QueueOptions): string {
  return options.type ?? "classic";
}

function optionOf(options: QueueOptions, option: keyof QueueOptions): unknown {
  return option === "type" ? typeOf(options) : options[option];
}

function sameOption(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [x, y] = [Object.entries(a), Object.entries(b)];
  return x.length === y.length && x.every(([key, value]) => (b as Record<string, unknown>)[key] === value);
}

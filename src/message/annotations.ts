import type { Annotations, Death, DeathReason } from "./record.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type End = NonNullable<Annotations["firstDeath"]>;

/** Deaths that are believed of one message: as many queues of a path as there can be, and more. */
const DEATHS_MAX = 1000;

/**
 * What stays true of a message that lies in a stream, as JSON; null when that is nothing. Where else it
 * was to be sent is over.
 */
export function lastingAnnotations(annotations: Annotations | null): Uint8Array | null {
  if (annotations === null) return null;
  const { copies: _, blindCopies: __, ...lasting } = annotations;
  const kept = checked(lasting);
  return Object.keys(kept).length === 0 ? null : Buffer.from(JSON.stringify(kept));
}

/** The reverse. Records are written by anybody: what is not of the right form is left out. */
export function annotationsOf(json: Uint8Array): Annotations {
  try {
    return checked(JSON.parse(Buffer.from(json).toString()));
  } catch {
    return {};
  }
}

function checked(from: unknown): Annotations {
  const kept: Mutable<Annotations> = {};
  if (!isObject(from)) return kept;
  const { deaths, firstDeath, lastDeath, fed, delayServedMs } = from;
  if (Array.isArray(deaths) && deaths.length <= DEATHS_MAX && deaths.every(isDeath)) kept.deaths = deaths;
  if (isEnd(firstDeath)) kept.firstDeath = firstDeath;
  if (isEnd(lastDeath)) kept.lastDeath = lastDeath;
  if (from.expirationRemoved === true) kept.expirationRemoved = true;
  if (from.copiesRemoved === true) kept.copiesRemoved = true;
  if (Number.isSafeInteger(delayServedMs)) kept.delayServedMs = delayServedMs as number;
  if (isTexts(fed)) kept.fed = fed;
  return kept;
}

const REASONS: ReadonlySet<unknown> = new Set<DeathReason>([
  "rejected",
  "expired",
  "maxlen",
  "delivery_limit",
]);

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function isEnd(value: unknown): value is End {
  if (!isObject(value)) return false;
  const { queue, reason, exchange } = value;
  return typeof queue === "string" && typeof exchange === "string" && REASONS.has(reason);
}

function isDeath(value: unknown): value is Death {
  if (!isEnd(value)) return false;
  const { count, firstTime, routingKeys, originalExpiration } = value as Partial<Death>;
  if (!Number.isSafeInteger(count) || !Number.isSafeInteger(firstTime) || !isTexts(routingKeys)) return false;
  return originalExpiration === undefined || typeof originalExpiration === "string";
}

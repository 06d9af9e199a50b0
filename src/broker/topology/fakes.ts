import { BrokerError, type ErrorCode, type ErrorDetail } from "../../base/errors.ts";
import type { MetaStore } from "../../engine/engine.ts";
import type { TypedValue } from "../../message/values.ts";
import type {
  ExchangeDeclaration,
  Owner,
  QueueDeclaration,
  QueueHandle,
  QueueHooks,
  QueueHost,
} from "../types.ts";

/** Stand-ins for the engine and the data plane, and short forms of declarations, for tests only. */

export class FakeMeta implements MetaStore {
  readonly map = new Map<string, Uint8Array>();

  get(key: string): Uint8Array | undefined {
    return this.map.get(key);
  }

  entries(prefix: string): [string, Uint8Array][] {
    return [...this.map].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1));
  }

  put(key: string, value: Uint8Array): void {
    this.map.set(key, value);
  }

  delete(key: string): void {
    this.map.delete(key);
  }

  flush(done: () => void): void {
    done();
  }
}

export class FakeQueue implements QueueHandle {
  readonly id: number;
  readonly namespace: string;
  readonly declaration: QueueDeclaration;
  readonly owner: Owner | null;
  readonly hooks: QueueHooks;
  readyCount = 0;
  unackedCount = 0;
  consumerCount = 0;
  deleted = false;
  touched = 0;

  constructor(
    id: number,
    namespace: string,
    declaration: QueueDeclaration,
    owner: Owner | null,
    hooks: QueueHooks,
  ) {
    this.id = id;
    this.namespace = namespace;
    this.declaration = declaration;
    this.owner = owner;
    this.hooks = hooks;
  }

  get name(): string {
    return this.declaration.name;
  }
}

export class FakeHost implements QueueHost {
  readonly created: FakeQueue[] = [];

  createQueue(...of: ConstructorParameters<typeof FakeQueue>): FakeQueue {
    const queue = new FakeQueue(...of);
    this.created.push(queue);
    return queue;
  }

  deleteQueue(queue: QueueHandle): number {
    (queue as FakeQueue).deleted = true;
    return queue.readyCount;
  }

  purgeQueue(queue: QueueHandle): number {
    const ready = queue.readyCount;
    (queue as FakeQueue).readyCount = 0;
    return ready;
  }

  readonly forgotten: string[] = [];

  forgetNamespace(name: string): void {
    this.forgotten.push(name);
  }

  touchQueue(queue: QueueHandle): void {
    (queue as FakeQueue).touched++;
  }
}

export function exchange(
  name: string,
  type: string,
  more: Partial<ExchangeDeclaration> = {},
): ExchangeDeclaration {
  return { name, type, durable: false, autoDelete: false, internal: false, arguments: new Map(), ...more };
}

export function queue(name: string, more: Partial<QueueDeclaration> = {}): QueueDeclaration {
  const none = { durable: false, exclusive: false, autoDelete: false };
  return { name, ...none, options: {}, arguments: new Map(), ...more };
}

export function text(value: string): TypedValue {
  return { type: "string", value };
}

export function table(
  values: Record<string, string | number | boolean | null | TypedValue>,
): Map<string, TypedValue> {
  return new Map(Object.entries(values).map(([key, value]) => [key, typed(value)]));
}

function typed(value: string | number | boolean | null | TypedValue): TypedValue {
  if (value === null) return { type: "void", value };
  if (typeof value === "string") return { type: "string", value };
  if (typeof value === "number") return { type: "int32", value };
  return typeof value === "boolean" ? { type: "bool", value } : value;
}

/** The BrokerError that `action` throws, or null. */
export function refusalOf(action: () => unknown): { code: ErrorCode; detail: ErrorDetail } | null {
  try {
    action();
    return null;
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { code: error.code, detail: error.detail };
  }
}

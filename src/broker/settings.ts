import type { MetaStore } from "../engine/engine.ts";

/**
 * Small texts that a protocol keeps for itself and the core does not read: what its clients have
 * configured at run time. Durable when `Broker.durable` says so.
 */
export interface SettingsStore {
  /** Rises with every change. */
  readonly revision: number;
  get(scope: string, name: string): Settings | null;
  /** Replaces all of it; nothing in it: forgets the name. */
  put(scope: string, name: string, settings: Settings): void;
  entries(scope: string): [name: string, settings: Settings][];
}

export type Settings = Readonly<Record<string, string>>;

/**
 * Settings in the metadata store. Keys, with '/' and '%' percent-encoded, and JSON values:
 *
 *     settings/format            {version: 1}
 *     settings/<scope>/<name>    {name, values}
 */
const VERSION = 1;
const FORMAT_KEY = "settings/format";

interface Stored {
  readonly name: string;
  readonly values: Settings;
}

export class MetaSettings implements SettingsStore {
  revision = 0;
  private readonly meta: MetaStore;

  /** @throws Error for a version that this program does not know */
  constructor(meta: MetaStore) {
    this.meta = meta;
    const format = meta.get(FORMAT_KEY);
    if (format === undefined) return;
    const { version } = parse<{ version: number }>(format);
    if (version === VERSION) return;
    throw new Error(`settings are stored in version ${version}; this program reads version ${VERSION}`);
  }

  get(scope: string, name: string): Settings | null {
    const value = this.meta.get(keyOf(scope, name));
    return value === undefined ? null : parse<Stored>(value).values;
  }

  put(scope: string, name: string, settings: Settings): void {
    this.revision++;
    if (Object.keys(settings).length === 0) {
      this.meta.delete(keyOf(scope, name));
      return;
    }
    if (this.meta.get(FORMAT_KEY) === undefined) this.write(FORMAT_KEY, { version: VERSION });
    this.write(keyOf(scope, name), { name, values: settings } satisfies Stored);
  }

  entries(scope: string): [string, Settings][] {
    return Array.from(this.meta.entries(keyOf(scope, "")), ([, value]) => {
      const { name, values } = parse<Stored>(value);
      return [name, values];
    });
  }

  private write(key: string, json: object): void {
    // Not a Buffer: a small one is a window on memory that it shares with others.
    this.meta.put(key, new TextEncoder().encode(JSON.stringify(json)));
  }
}

function parse<T>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString()) as T;
}

function keyOf(scope: string, name: string): string {
  return `settings/${[scope, name].map((text) => text.replace(/[%/]/g, encodeURIComponent)).join("/")}`;
}

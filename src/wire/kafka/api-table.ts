import type { ApiHandler, ServedVersions } from "./api.ts";
import type { Api } from "./codec/api.ts";

// biome-ignore lint/suspicious/noExplicitAny: every API, each with its own types.
export type AnyApi = Api<any, any>;
export type AnyHandler = ApiHandler<AnyApi>;

export interface ServedApi extends ServedVersions {
  readonly handler: AnyHandler;
}

/** What is served: the one source of what ApiVersions tells and what the documentation says. */
export class ApiTable {
  /** In the order of their keys. */
  readonly served: readonly ServedApi[];
  private readonly byKey: readonly (ServedApi | undefined)[];

  constructor(handlers: readonly AnyHandler[]) {
    this.served = handlers
      .map((handler) => {
        const { api } = handler;
        const [first, last] = handler.versions ?? [api.firstVersion, api.lastVersion];
        return { api: api as Api, handler, first, last };
      })
      .sort((a, b) => a.api.key - b.api.key);
    const byKey: ServedApi[] = [];
    for (const served of this.served) byKey[served.api.key] = served;
    this.byKey = byKey;
  }

  /** Whatever the version. */
  find(key: number): ServedApi | undefined {
    return this.byKey[key];
  }
}

/** The support matrix of docs/protocols/kafka.md. */
export function supportMatrix(table: ApiTable): string {
  const rows = table.served.map(({ api, first, last }) => {
    const flexible = api.firstFlexible <= last ? `${api.firstFlexible}` : "-";
    return `| ${api.key} | ${api.name} | ${first === last ? first : `${first}-${last}`} | ${flexible} |`;
  });
  return ["| Key | API | Versions | Flexible from |", "|---|---|---|---|", ...rows].join("\n");
}

import type { AnyHandler } from "../api-table.ts";
import { apiVersionsHandler } from "./api-versions.ts";

/** Every API that is served: the table of contents. */
export const HANDLERS: readonly AnyHandler[] = [apiVersionsHandler];

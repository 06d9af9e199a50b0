import { isInteger, type Table, type TypedValue, valuesEqual } from "../../message/values.ts";
import type { RoutedMessage } from "../types.ts";
import type { Destination, Flaw, Router, RouterBinding } from "./exchange-type.ts";

const MODE_ARGUMENT = "x-match";
const MODES = ["all", "any", "all-with-x", "any-with-x"];

interface Rule {
  readonly any: boolean;
  readonly wanted: readonly (readonly [string, TypedValue])[];
}

export class HeadersRouter implements Router {
  readonly dynamic = true;
  readonly keys = "none";
  readonly delaying = false;
  private readonly rules = new Map<RouterBinding, Rule>();

  scope(): null {
    return null;
  }

  check(_key: string, args: Table): Flaw | null {
    const mode = args.get(MODE_ARGUMENT);
    if (mode === undefined) return null;
    if (mode.type !== "string") {
      return { argument: MODE_ARGUMENT, reason: `has type ${mode.type}, expected a string` };
    }
    if (MODES.includes(mode.value as string)) return null;
    return { argument: MODE_ARGUMENT, reason: `is '${mode.value}', expected ${MODES.join(", ")}` };
  }

  add(binding: RouterBinding): void {
    const mode = (binding.args.get(MODE_ARGUMENT)?.value as string | undefined) ?? "all";
    const withX = mode.endsWith("-with-x");
    this.rules.set(binding, {
      any: mode.startsWith("any"),
      wanted: [...binding.args].filter(
        ([name]) => name !== MODE_ARGUMENT && (withX || !name.startsWith("x-")),
      ),
    });
  }

  remove(binding: RouterBinding): void {
    this.rules.delete(binding);
  }

  route(_key: string, message: RoutedMessage | null, into: Destination[]): void {
    const headers = message?.headers() ?? null;
    for (const [binding, rule] of this.rules) if (matches(rule, headers)) into.push(binding.to);
  }
}

/** No wanted headers at all: "all" is content, "any" never is. */
function matches({ any, wanted }: Rule, headers: Table | null): boolean {
  for (const [name, value] of wanted) {
    const header = headers?.get(name);
    // A wanted value of type void asks only for the header to be there.
    const hit = header !== undefined && (value.type === "void" || sameContent(value, header));
    if (hit === any) return any;
  }
  return !any;
}

/** Publishers in other languages pick other widths and kinds for the same value, so types do not count. */
function sameContent(a: TypedValue, b: TypedValue): boolean {
  if (isNumeric(a) && isNumeric(b)) {
    // biome-ignore lint/suspicious/noDoubleEquals: == compares number with bigint exactly
    return (a.value as number) == (b.value as number);
  }
  if (isText(a) && isText(b) && a.type !== b.type) {
    return Buffer.from(a.value as string).equals(Buffer.from(b.value as string));
  }
  return valuesEqual(a, b);
}

function isNumeric(typed: TypedValue): boolean {
  return isInteger(typed) || typed.type === "float" || typed.type === "double" || typed.type === "timestamp";
}

function isText(typed: TypedValue): boolean {
  return typed.type === "string" || typed.type === "binary";
}

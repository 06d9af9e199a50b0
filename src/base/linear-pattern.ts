/**
 * Regular expressions from people who need not mean well: the syntax of RE2, without what cannot be
 * matched in time linear in the text (back references, looking around). The runtime's own expressions
 * can be made to run for years by a line of text; these try all ways at once, character by character.
 */

type Test = (code: number) => boolean;

/** A state of the automaton: consumes a character, splits in two, looks where it is, or is the end. */
interface State {
  readonly test: Test | null;
  readonly place: "start" | "end" | null;
  readonly next: number[];
}

type Node =
  | { readonly kind: "test"; readonly test: Test }
  | { readonly kind: "place"; readonly place: "start" | "end" }
  | { readonly kind: "all"; readonly parts: readonly Node[] }
  | { readonly kind: "any"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly part: Node; readonly min: number; readonly max: number };

const REPEAT_MAX = 1000;
const STATES_MAX = 10_000;
const END = -1;

/** Matches whole texts only. */
export class LinearPattern {
  private readonly states: State[] = [];
  private readonly start: number;

  /** @throws SyntaxError */
  constructor(pattern: string) {
    this.start = this.compile(new Parser(pattern).parse(), END);
  }

  matches(text: string): boolean {
    let current = new Set<number>();
    this.enter(current, this.start, 0, text.length);
    for (let at = 0; at < text.length; at++) {
      if (current.size === 0) return false;
      const code = text.charCodeAt(at);
      const following = new Set<number>();
      for (const index of current) {
        const state = this.states[index];
        if (state?.test?.(code) === true) this.enter(following, state.next[0] as number, at + 1, text.length);
      }
      current = following;
    }
    return current.has(END);
  }

  /** Adds a state and all that it leads to without a character. */
  private enter(into: Set<number>, first: number, at: number, length: number): void {
    const left = [first];
    for (let index = left.pop(); index !== undefined; index = left.pop()) {
      if (into.has(index)) continue;
      into.add(index);
      const state = this.states[index];
      if (state === undefined || state.test !== null) continue;
      if (state.place === "start" && at !== 0) continue;
      if (state.place === "end" && at !== length) continue;
      left.push(...state.next);
    }
  }

  private add(test: Test | null, place: State["place"], ...next: number[]): number {
    if (this.states.length >= STATES_MAX) throw new SyntaxError("the pattern is too large");
    return this.states.push({ test, place, next }) - 1;
  }

  /** The first state of `node`, behind which `next` comes. */
  private compile(node: Node, next: number): number {
    switch (node.kind) {
      case "test":
        return this.add(node.test, null, next);
      case "place":
        return this.add(null, node.place, next);
      case "all":
        return node.parts.reduceRight((behind, part) => this.compile(part, behind), next);
      case "any":
        return this.add(null, null, ...node.parts.map((part) => this.compile(part, next)));
      case "repeat":
        return this.repeat(node, next);
    }
  }

  private repeat({ part, min, max }: Node & { kind: "repeat" }, next: number): number {
    let first = next;
    if (max === Number.POSITIVE_INFINITY) {
      first = this.add(null, null, next);
      this.states[first]?.next.push(this.compile(part, first));
    } else {
      for (let count = min; count < max; count++)
        first = this.add(null, null, this.compile(part, first), next);
    }
    for (let count = 0; count < min; count++) first = this.compile(part, first);
    return first;
  }
}

const isDigit: Test = (code) => code >= 48 && code <= 57;
const isWord: Test = (code) =>
  isDigit(code) || code === 95 || (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
const isSpace: Test = (code) => code === 32 || (code >= 9 && code <= 10) || code === 12 || code === 13;
const not =
  (test: Test): Test =>
  (code) =>
    !test(code);
const CLASSES: Readonly<Record<string, Test>> = {
  d: isDigit,
  D: not(isDigit),
  w: isWord,
  W: not(isWord),
  s: isSpace,
  S: not(isSpace),
};
const POSIX: Readonly<Record<string, Test>> = {
  alnum: (code) => isWord(code) && code !== 95,
  alpha: (code) => isWord(code) && code !== 95 && !isDigit(code),
  digit: isDigit,
  lower: (code) => code >= 97 && code <= 122,
  upper: (code) => code >= 65 && code <= 90,
  space: (code) => isSpace(code) || code === 11,
  word: isWord,
  punct: (code) => code > 32 && code < 127 && (!isWord(code) || code === 95),
};
const CONTROLS: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

class Parser {
  private readonly text: string;
  private at = 0;
  private ignoreCase = false;
  private dotAll = false;

  constructor(text: string) {
    this.text = text;
  }

  parse(): Node {
    const node = this.alternatives();
    if (this.at < this.text.length) throw this.error("unexpected ')'");
    return node;
  }

  private alternatives(): Node {
    const parts = [this.sequence()];
    while (this.take("|")) parts.push(this.sequence());
    return parts.length === 1 ? (parts[0] as Node) : { kind: "any", parts };
  }

  private sequence(): Node {
    const parts: Node[] = [];
    while (this.at < this.text.length && !"|)".includes(this.peek())) {
      const atom = this.atom();
      if (atom !== null) parts.push(this.repeated(atom));
    }
    return { kind: "all", parts };
  }

  private repeated(part: Node): Node {
    const bounds = this.bounds();
    if (bounds === null) return part;
    // Greedy or not makes no difference to whether it matches.
    this.take("?");
    if (this.bounds() !== null) throw this.error("a repetition of a repetition");
    return { kind: "repeat", part, min: bounds[0], max: bounds[1] };
  }

  private bounds(): [min: number, max: number] | null {
    if (this.take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.take("?")) return [0, 1];
    const braces = /^\{(\d+)(,(\d*))?\}/.exec(this.text.slice(this.at));
    if (braces === null) return null;
    this.at += braces[0].length;
    const min = Number(braces[1]);
    const max =
      braces[2] === undefined ? min : braces[3] === "" ? Number.POSITIVE_INFINITY : Number(braces[3]);
    if (min > REPEAT_MAX || (max > REPEAT_MAX && max !== Number.POSITIVE_INFINITY) || max < min) {
      throw this.error("bad bounds of a repetition");
    }
    return [min, max];
  }

  /** Null: a flag, which stands for nothing itself. */
  private atom(): Node | null {
    const char = this.next();
    switch (char) {
      case "(":
        return this.group();
      case "[":
        return { kind: "test", test: this.characters() };
      case ".": {
        const { dotAll } = this;
        return { kind: "test", test: (code) => dotAll || code !== 10 };
      }
      case "^":
        return { kind: "place", place: "start" };
      case "$":
        return { kind: "place", place: "end" };
      case "\\":
        return this.escape();
      case "*":
      case "+":
      case "?":
        throw this.error(`nothing to repeat before '${char}'`);
      default:
        return { kind: "test", test: this.literal(char.charCodeAt(0)) };
    }
  }

  private group(): Node | null {
    const { ignoreCase, dotAll } = this;
    if (this.take("?")) {
      if (/^P?<\w+>/.test(this.text.slice(this.at))) this.at = this.text.indexOf(">", this.at) + 1;
      else {
        const flags = /^([ims]*)(-[ims]+)?([:)])/.exec(this.text.slice(this.at));
        if (flags === null) throw this.error("an unknown kind of group");
        this.at += flags[0].length;
        this.flags(flags[1] ?? "", true);
        this.flags(flags[2] ?? "", false);
        if (flags[3] === ")") return null;
      }
    }
    const node = this.alternatives();
    if (!this.take(")")) throw this.error("a group without its end");
    this.ignoreCase = ignoreCase;
    this.dotAll = dotAll;
    return node;
  }

  private flags(names: string, on: boolean): void {
    if (names.includes("i")) this.ignoreCase = on;
    if (names.includes("s")) this.dotAll = on;
    if (names.includes("m")) throw this.error("flag 'm' is not supported");
  }

  private escape(): Node {
    const char = this.next();
    if (char === "A") return { kind: "place", place: "start" };
    if (char === "z") return { kind: "place", place: "end" };
    const test = CLASSES[char];
    return { kind: "test", test: test ?? this.literal(this.escaped(char)) };
  }

  /** Code of what stands behind a backslash. */
  private escaped(char: string): number {
    if (char === "x") {
      const hex = /^(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,4})\})/.exec(this.text.slice(this.at));
      if (hex === null) throw this.error("a bad number of a character");
      this.at += hex[0].length;
      return Number.parseInt(hex[1] ?? (hex[2] as string), 16);
    }
    const control = CONTROLS[char];
    if (control !== undefined) return control;
    if (/\w/.test(char)) throw this.error(`'\\${char}' is not supported`);
    return char.charCodeAt(0);
  }

  private characters(): Test {
    const negated = this.take("^");
    const tests: Test[] = [];
    for (let first = true; first || this.peek() !== "]"; first = false) tests.push(this.characterRange());
    this.at++;
    const { ignoreCase } = this;
    const test: Test = (code) =>
      tests.some((one) => one(code) || (ignoreCase && (one(code | 32) || one(code & ~32)) && isLetter(code)));
    return negated ? not(test) : test;
  }

  private characterRange(): Test {
    const posix = /^\[:(\^?)(\w+):\]/.exec(this.text.slice(this.at));
    if (posix !== null) {
      const test = POSIX[posix[2] as string];
      if (test === undefined) throw this.error("an unknown class of characters");
      this.at += posix[0].length;
      return posix[1] === "" ? test : not(test);
    }
    const from = this.character();
    if (typeof from !== "number") return from;
    if (this.peek() !== "-" || this.text[this.at + 1] === "]") return (code) => code === from;
    this.at++;
    const to = this.character();
    if (typeof to !== "number" || to < from) throw this.error("a bad range of characters");
    return (code) => code >= from && code <= to;
  }

  private character(): number | Test {
    const char = this.next();
    if (char !== "\\") return char.charCodeAt(0);
    const escaped = this.next();
    return CLASSES[escaped] ?? this.escaped(escaped);
  }

  private literal(expected: number): Test {
    if (!this.ignoreCase || !isLetter(expected)) return (code) => code === expected;
    return (code) => (code | 32) === (expected | 32);
  }

  private peek(): string {
    if (this.at >= this.text.length) throw this.error("it ends too early");
    return this.text[this.at] as string;
  }

  private next(): string {
    const char = this.peek();
    this.at++;
    return char;
  }

  private take(char: string): boolean {
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  private error(what: string): SyntaxError {
    return new SyntaxError(`${what} at ${this.at} in the pattern '${this.text}'`);
  }
}

function isLetter(code: number): boolean {
  return (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
}

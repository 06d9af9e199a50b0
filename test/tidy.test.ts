// The rules that keep the house in order, as a test. Who may import whom is docs/architecture.md's
// table; a type import counts like any other, because what a room knows of another binds it.
import { basename } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { isGenerated, PRODUCT, SOURCES, type Source } from "./tidy/sources.ts";

const FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;

/** The product shell: it knows everybody, and nobody knows it. */
const SHELL =
  /^src\/(main|index|server|config|listeners|protocols|engines|version)\.ts$|^src\/(config|cli)\//;

/** Room -> what it may import besides itself. "wire/*" is one room for each protocol. */
const ROOMS: readonly [room: RegExp, mayImport: RegExp, packages: readonly string[]][] = [
  [/^src\/base\//, /^src\/base\//, ["@node-rs/crc32"]],
  [/^src\/limits\.ts$/, /^src\/base\//, []],
  // An outbox and a listener are bounded by what limits.ts says.
  [/^src\/net\//, /^src\/(net|base)\/|^src\/limits\.ts$/, ["ws"]],
  [/^src\/message\//, /^src\/(message|base)\//, ["fzstd"]],
  [/^src\/engine\//, /^src\/(engine|base)\//, []],
  [/^src\/broker\//, /^src\/(broker|base|message)\/|^src\/limits\.ts$|^src\/engine\/engine\.ts$/, ["jose"]],
  [/^src\/cluster\//, /^src\/(cluster|base)\/|^src\/engine\/engine\.ts$|^src\/broker\/ownership\.ts$/, []],
  [/^src\/wire\/protocol\.ts$/, /^src\/(base|net|message)\/|^src\/limits\.ts$|^src\/broker\/index\.ts$/, []],
  ...["amqp091", "kafka", "mqtt", "stomp"].map((name): [RegExp, RegExp, string[]] => [
    new RegExp(`^src/wire/${name}/`),
    new RegExp(
      `^src/wire/${name}/|^src/(base|net|message)/|^src/limits\\.ts$|^src/broker/index\\.ts$|^src/wire/protocol\\.ts$`,
    ),
    [],
  ]),
  [/^src\/admin\//, /^src\/(admin|base)\/|^src\/broker\/index\.ts$/, ["prom-client"]],
  [SHELL, /^src\//, ["commander", "pino", "yaml"]],
];

function roomOf(path: string) {
  return ROOMS.find(([room]) => room.test(path));
}

describe("who may import whom", () => {
  test("every file of src stands in a room", () => {
    expect(PRODUCT.map(({ path }) => path).filter((path) => roomOf(path) === undefined)).toEqual([]);
  });

  test("a room knows only the rooms it may know", () => {
    const broken = PRODUCT.flatMap(({ path, imports }) =>
      imports
        .filter((target) => !roomOf(path)?.[1].test(target))
        .map((target) => `${path} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test("nobody imports the product shell", () => {
    const broken = PRODUCT.filter(({ path }) => !SHELL.test(path)).flatMap(({ path, imports }) =>
      imports.filter((target) => SHELL.test(target)).map((target) => `${path} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test("each dependency has its room", () => {
    const broken = PRODUCT.flatMap(({ path, packages }) =>
      packages
        .filter((name) => !name.startsWith("node:") && !roomOf(path)?.[2].includes(name))
        .map((name) => `${path} imports ${name}`),
    );
    expect(broken).toEqual([]);
  });

  test("what tests share is not part of the product", () => {
    const shipped = new Set(PRODUCT.map(({ path }) => path));
    const broken = PRODUCT.flatMap(({ path, imports }) =>
      imports.filter((target) => !shipped.has(target)).map((target) => `${path} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test("there are no cycles", () => expect(cycles(PRODUCT)).toEqual([]));
});

/** Each cycle once, as the path around it. */
function cycles(sources: readonly Source[]): string[] {
  const imports = new Map(sources.map((source) => [source.path, source.imports]));
  const done = new Set<string>();
  const found: string[] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path].join(" -> "));
    if (start >= 0 || done.has(path)) return;
    for (const next of imports.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of imports.keys()) walk(path, []);
  return found;
}

test("every file is reached from the product's doors or from a test", () => {
  const byPath = new Map(SOURCES.map((source) => [source.path, source]));
  const doors = SOURCES.filter(({ path }) => /^src\/(main|index)\.ts$|\.test\.ts$|\.mjs$/.test(path));
  const reached = new Set<string>();
  const queue = doors.map(({ path }) => path);
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    queue.push(...(byPath.get(path)?.imports ?? []));
  }
  expect(SOURCES.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
});

describe("size", () => {
  test(`no file is longer than ${FILE_LINES_MAX} lines`, () => {
    const long = SOURCES.filter((source) => !isGenerated(source))
      .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
      .filter(({ lines }) => lines > FILE_LINES_MAX);
    expect(long).toEqual([]);
  });

  test(`no function is longer than ${FUNCTION_LINES_MAX} lines`, () => {
    // A suite is a list of tests, not a function to be understood at once.
    const suite = /\.test\.ts$|\/conformance\.ts$/;
    const checked = SOURCES.filter((source) => !isGenerated(source) && !suite.test(source.path));
    expect(checked.flatMap(longFunctions)).toEqual([]);
  });
});

function longFunctions({ path, tree }: Source): string[] {
  const found: string[] = [];
  const lineOf = (position: number) => tree.getLineAndCharacterOfPosition(position).line + 1;
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
      const [first, last] = [lineOf(node.getStart(tree)), lineOf(node.end)];
      const lines = last - first + 1;
      if (lines > FUNCTION_LINES_MAX) found.push(`${path}:${first} has a function of ${lines} lines`);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

describe("names", () => {
  const VAGUE = /^(.*-)?(util|utils|utility|helper|helpers|manager|service|misc|common|stuff)$/;

  test("no file is called after nothing in particular", () => {
    const vague = SOURCES.map(({ path }) => path).filter((path) =>
      path.split("/").some((part) => VAGUE.test(basename(part).replace(/(\.test)?\.(ts|mjs)$/, ""))),
    );
    expect(vague).toEqual([]);
  });

  test("no type either", () => {
    const vague = SOURCES.flatMap(({ path, text }) =>
      [...text.matchAll(/\b(?:class|interface|type) (\w*(?:Manager|Service|Helper|Util|Utils))\b/g)].map(
        ([, name]) => `${path}: ${name}`,
      ),
    );
    expect(vague).toEqual([]);
  });

  test("the core speaks no protocol: none is named in broker, engine or base, but in comments", () => {
    const core = PRODUCT.filter(({ path }) => /^src\/(broker|engine|base)\//.test(path));
    const spoken = core.flatMap(({ path, tree }) =>
      words(tree)
        .filter((word) => /amqp|kafka|mqtt|stomp/i.test(word))
        .map((word) => `${path}: ${word}`),
    );
    expect(spoken).toEqual([]);
  });
});

/** Identifiers and texts: what is left of a file without its comments. */
function words(tree: ts.SourceFile): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) || ts.isStringLiteralLike(node)) found.push(node.text);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

test("bytes are copied by copyBytes: a Buffer's slice is a view", () => {
  const found = PRODUCT.filter(({ text }) => /[bB]ytes\.slice\(/.test(text.replace(/`[^`\n]*`/g, ""))).map(
    ({ path }) => path,
  );
  expect(found).toEqual([]);
});

test("nothing is left to be fixed, and no test is switched off", () => {
  // Put together, so that this file does not find itself.
  const leftover = new RegExp(
    `${["FIX", "ME"].join("")}|\\b(test|it|describe)\\.(only|todo)\\(|@ts-${"ignore"}`,
  );
  const found = SOURCES.filter((source) => !isGenerated(source) && leftover.test(source.text));
  expect(found.map(({ path }) => path)).toEqual([]);
});

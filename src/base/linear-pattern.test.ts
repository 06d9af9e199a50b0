import { describe, expect, test } from "vitest";
import { LinearPattern } from "./linear-pattern.ts";
import { cpuMsOf } from "./testing/cpu-time.ts";

const TEXTS = [
  "",
  "a",
  "b",
  "ab",
  "aab",
  "abab",
  "orders",
  "orders-1",
  "orders-12",
  "Orders",
  "a.b",
  "a_b",
  "x\ny",
];
const TEXTS_MORE = [
  "aaaa",
  "abc",
  "acc",
  "-",
  "]",
  "^",
  "\\",
  "9",
  "foo.bar",
  "foo",
  "barfoo",
  "{2}",
  "a{2}",
];

describe("a pattern", () => {
  // The runtime's own engine is the judge, where both speak the same language.
  test.each([
    "a",
    "ab*",
    "a+b",
    "a?b",
    "(ab)+",
    "(?:ab)*",
    "a|b",
    "a|b|",
    "orders(-\\d+)?",
    "orders-[0-9]{1,2}",
    ".*",
    ".+b",
    "[^a-c]+",
    "[a\\]]",
    "[\\]^-]",
    "[-a]",
    "\\w+",
    "\\W",
    "\\S*",
    "[\\d_.]",
    "a\\.b",
    "^a$",
    "^orders.*$",
    "a{2}b",
    "a{2,}",
    "a{2,3}",
    "a{0}",
    "(a|b){2}",
    "(a*)*",
    "(a|b|ab)*",
    "a*?b",
    "x\\ny",
    "\\x61",
    "foo(?:\\.bar)?",
    "()",
    "",
    "a^b",
    "(^a|b$)",
    "\\\\",
    "\\{2\\}",
  ])("'%s' matches what it should", (source) => {
    const judge = new RegExp(`^(?:${source})$`);
    const pattern = new LinearPattern(source);
    for (const text of [...TEXTS, ...TEXTS_MORE])
      expect([text, pattern.matches(text)]).toEqual([text, judge.test(text)]);
  });

  test.each([
    ["(?i)orders", "ORDERS", true],
    ["(?i:o)rders", "Orders", true],
    ["(?i:o)rders", "ORDERS", false],
    ["(?i)[a-f]+", "CAFE", true],
    ["(?s).*", "x\ny", true],
    ["(?P<name>a)b", "ab", true],
    ["[[:alpha:]]+", "abcXYZ", true],
    ["[[:alpha:]]+", "abc1", false],
    ["[[:^digit:]]+", "abc", true],
    ["\\Aab\\z", "ab", true],
  ])("'%s' and '%s': %s, as in RE2", (source, text, expected) => {
    expect(new LinearPattern(source).matches(text)).toBe(expected);
  });

  test.each([
    "(",
    ")",
    "a)",
    "[",
    "[a",
    "*",
    "a**",
    "(?=a)",
    "(?<!a)",
    "(a)\\1",
    "a{2,1}",
    "a{1001}",
    "\\",
    "\\p{L}",
    "(?x)a",
    "[z-a]",
    "((((a{100}){100}){100}){100})",
  ])("'%s' is refused", (source) => expect(() => new LinearPattern(source)).toThrow(SyntaxError));

  test("that would keep the runtime's own engine busy for years does not", () => {
    const cpuMs = cpuMsOf(() => {
      expect(new LinearPattern("(a+)+b").matches("a".repeat(250))).toBe(false);
      expect(new LinearPattern("(a|aa)*(a|aa)*c").matches("a".repeat(250))).toBe(false);
    });
    expect(cpuMs).toBeLessThan(1000);
  });
});

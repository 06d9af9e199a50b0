import { expect, test } from "vitest";
import { configure } from "../config/sources.ts";
import { openLogger, prettyLine } from "./logger.ts";

function log(format: "pretty" | "json", level = "info") {
  const lines: string[] = [];
  const given = new Map([
    ["logFormat", { text: format, place: "test" }],
    ["logLevel", { text: level, place: "test" }],
  ] as const);
  const logger = openLogger(configure([given]).settings, { write: (line) => lines.push(line) });
  return { logger, lines };
}

test("a line for people", () => {
  const { logger, lines } = log("pretty");
  logger.info({ queue: "jobs", note: "two words", count: 3 }, "declared");
  expect(lines[0]).toMatch(
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info {2}declared {2}queue=jobs {2}note="two words" {2}count=3\n$/,
  );
});

test("an error shows its stack below", () => {
  const { logger, lines } = log("pretty");
  logger.error({ err: new Error("broken") }, "it broke");
  expect(lines[0]).toContain("error it broke\n    Error: broken\n");
});

test("one JSON object a line, levels by name", () => {
  const { logger, lines } = log("json");
  logger.warn({ free: 1 }, "low");
  expect(JSON.parse(lines[0]!)).toMatchObject({ level: "warn", msg: "low", free: 1 });
});

test("what is below the level is not logged, and passwords never are", () => {
  const { logger, lines } = log("json", "warn");
  logger.info({}, "unseen");
  logger.warn({ password: "swordfish", client: { password: "swordfish" } }, "seen");
  expect(lines.length).toBe(1);
  expect(lines[0]).not.toContain("swordfish");
});

test("a line of another shape is shown as far as it goes", () => {
  expect(prettyLine('{"level":"info","time":"2026-01-01T00:00:00.000Z","msg":"m"}')).toBe(
    "2026-01-01 00:00:00.000 info  m\n",
  );
});

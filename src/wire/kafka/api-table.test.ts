import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { HANDLERS } from "./api/index.ts";
import { ApiTable, supportMatrix } from "./api-table.ts";

const PAGE = fileURLToPath(new URL("../../../docs/protocols/kafka.md", import.meta.url));
const [BEGIN, END] = ["<!-- apis: begin -->\n", "<!-- apis: end -->"];
const table = new ApiTable(HANDLERS);

test("docs/protocols/kafka.md has the APIs as they are served", () => {
  const page = readFileSync(PAGE, "utf8");
  const [start, end] = [page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)];
  const matrix = `${supportMatrix(table)}\n`;
  if (process.env.UPDATE_DOCS !== undefined) {
    writeFileSync(PAGE, page.slice(0, start) + matrix + page.slice(end));
    return;
  }
  // Out of date? UPDATE_DOCS=1 npx vitest run src/wire/kafka/api-table.test.ts writes it anew.
  expect(page.slice(start, end)).toBe(matrix);
});

test("no API is served twice, nor in a version that has no table", () => {
  const keys = HANDLERS.map(({ api }) => api.key);
  expect(new Set(keys).size).toBe(keys.length);
  for (const { api, first, last } of table.served) {
    expect(first, api.name).toBeGreaterThanOrEqual(api.firstVersion);
    expect(last, api.name).toBeLessThanOrEqual(api.lastVersion);
  }
});

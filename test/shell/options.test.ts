// The page that operators read says what the declaration says, and no option is declared for show.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { environmentName, flagName, OPTION_NAMES, OPTIONS, type Option } from "../../src/config.ts";
import { PRODUCT } from "../tidy/sources.ts";

const PAGE = fileURLToPath(new URL("../../docs/operations.md", import.meta.url));
const [BEGIN, END] = ["<!-- options: begin -->\n", "<!-- options: end -->"];

function optionsTable(): string {
  const rows = OPTION_NAMES.map((name) => {
    const option = OPTIONS[name] as Option<unknown>;
    const fallback = option.defaultText ?? (option.default === "" ? "none" : `\`${option.default}\``);
    const names = [`--${flagName(name)}`, environmentName(name), option.file].map((text) => `\`${text}\``);
    return `| ${[...names, option.type.syntax, fallback, option.help].map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  });
  return `| flag | environment | file | value | default | what it does |\n|---|---|---|---|---|---|\n${rows.join("")}`;
}

test("docs/operations.md has the options as they are declared", () => {
  const page = readFileSync(PAGE, "utf8");
  const [start, end] = [page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)];
  if (process.env.UPDATE_DOCS !== undefined) {
    writeFileSync(PAGE, page.slice(0, start) + optionsTable() + page.slice(end));
    return;
  }
  // Out of date? UPDATE_DOCS=1 npx vitest run test/shell/options.test.ts writes it anew.
  expect(page.slice(start, end)).toBe(optionsTable());
});

test("every option is read by something besides its declaration", () => {
  const readers = PRODUCT.filter(
    ({ path }) => /^src\/[^/]+\.ts$|^src\/cli\//.test(path) && path !== "src/index.ts",
  );
  const uses = (name: string) =>
    readers.some(({ path, text }) => {
      const read = path === "src/config.ts" ? text.slice(text.indexOf("export function namesAdmin")) : text;
      return new RegExp(`\\b${name}\\b`).test(read);
    });
  expect(OPTION_NAMES.filter((name) => !uses(name))).toEqual([]);
});

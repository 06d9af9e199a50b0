import { expect, test } from "vitest";
import { configure } from "../../src/config/sources.ts";
import type { OptionName } from "../../src/config.ts";
import { dataDirectoryOf } from "../../src/engines.ts";

function settingsOf(texts: Partial<Record<OptionName, string>>) {
  const given = Object.entries(texts).map(
    ([name, text]) => [name as OptionName, { text, place: "test" }] as const,
  );
  return configure([new Map(given)]).settings;
}

test.each([
  [{}, "./data"],
  [{ dataDir: "/var/lib/polymq" }, "/var/lib/polymq"],
  [{ engine: "file:/srv/polymq" }, "/srv/polymq"],
  [{ engine: "memory:" }, null],
  [{ engine: "memory:", checkpointInterval: "5s" }, "./data"],
  [{ engine: "memory:?checkpoint-dir=/srv/checkpoints" }, "/srv/checkpoints"],
  [{ engine: "memory:?checkpoint-interval=1s", dataDir: "/srv/polymq" }, "/srv/polymq"],
  [{ durability: "memory", checkpointInterval: "5s" }, "./data"],
])("%o keeps its data in %s", (texts, directory) => {
  expect(dataDirectoryOf(settingsOf(texts))).toBe(directory);
});

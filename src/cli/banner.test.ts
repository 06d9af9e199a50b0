import { describe, expect, test } from "vitest";
import type { ListenerOverview } from "../admin/index.ts";
import { configure } from "../config/sources.ts";
import type { OptionName } from "../config.ts";
import { banner, clientUrl, exposureWarnings } from "./banner.ts";

function settingsOf(texts: Partial<Record<OptionName, string>> = {}) {
  const given = Object.entries(texts).map(
    ([name, text]) => [name as OptionName, { text, place: "test" }] as const,
  );
  return configure([new Map(given)]).settings;
}

function listener(name: string, host: string): ListenerOverview {
  return { name, host, port: 1, url: `${name}://${host}:1` };
}

test("whoever names an administrator does not get the password printed", () => {
  const settings = settingsOf({ adminUser: "ann", adminPassword: "swordfish" });
  const text = banner({ settings, listeners: [listener("amqp", "127.0.0.1")], dataDirectory: "/data" });
  expect(text).toContain("amqp://ann:PASSWORD@127.0.0.1:1");
  expect(text).not.toContain("swordfish");
});

test.each([
  ["127.0.0.1", "amqp://u@127.0.0.1:1"],
  ["0.0.0.0", "amqp://u@127.0.0.1:1"],
  ["::", "amqp://u@[::1]:1"],
  ["broker.example", "amqp://u@broker.example:1"],
])("a client of %s is told %s", (host, url) => expect(clientUrl(listener("amqp", host), "u")).toBe(url));

describe("warnings", () => {
  test("none on the loopback interface", () => {
    for (const host of ["127.0.0.1", "127.3.2.1", "::1", "localhost"]) {
      expect(exposureWarnings(settingsOf(), [listener("amqp", host), listener("http", host)])).toEqual([]);
    }
  });

  test("what is encrypted and has a user of its own is only mentioned", () => {
    const settings = settingsOf({ adminUser: "ann", adminPassword: "x" });
    expect(exposureWarnings(settings, [listener("amqps", "0.0.0.0")])).toEqual([
      "reachable from other machines: amqps://0.0.0.0:1",
    ]);
  });

  test("guest, plain text and an open HTTP port are warned of", () => {
    const text = exposureWarnings(settingsOf(), [listener("amqp", "::"), listener("http", "::")]).join("\n");
    expect(text).toMatch(
      /not encrypted[\s\S]*asks for no password[\s\S]*guest may log in from this machine only/,
    );
  });
});

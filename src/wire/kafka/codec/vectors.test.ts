// Every API in every version against bytes that Kafka's own client library wrote. How they are made:
// test/compat/kafka-vectors/run.
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { APIS } from "../schemas/index.ts";
import type { Api } from "./api.ts";
import { Reader } from "./reader.ts";
import type { Shape } from "./schema.ts";
import { sampleOf, settled, toJson } from "./testing/samples.ts";
import { Writer } from "./writer.ts";

const FIXTURE = new URL("./fixtures/vectors.txt", import.meta.url);
const SAMPLES = 4;
const KINDS = ["request", "response"] as const;

interface Case {
  readonly api: Api;
  readonly kind: (typeof KINDS)[number];
  readonly version: number;
  readonly shape: Shape;
  readonly sample: Record<string, unknown>;
}

function* casesOf(api: Api): Iterable<Case> {
  for (const kind of KINDS) {
    const shape = kind === "request" ? api.requestShape : api.responseShape;
    for (let version = api.firstVersion; version <= api.lastVersion; version++) {
      for (let i = 0; i < SAMPLES; i++) {
        const sample = sampleOf(shape, version, api.key * 1000 + version * 10 + i);
        yield { api, kind, version, shape, sample };
      }
    }
  }
}

const ALL = (APIS as unknown as readonly Api[]).map((api) => ({ api, cases: [...casesOf(api)] }));

// Input for the program that makes the fixture: "name request|response version json" a line.
const { KAFKA_VECTORS_JSON } = process.env;
if (KAFKA_VECTORS_JSON !== undefined) {
  const lines = ALL.flatMap(({ cases }) => cases).map(({ api, kind, version, shape, sample }) =>
    [api.name, kind, version, JSON.stringify(toJson(shape, version, sample))].join(" "),
  );
  writeFileSync(KAFKA_VECTORS_JSON, `${lines.join("\n")}\n`);
}

/** "name request|response version" -> base64 of its samples, in order. */
const EXPECTED = new Map<string, string[]>();
for (const line of readFileSync(FIXTURE, "utf8").trim().split("\n")) {
  const [name, kind, version, ...samples] = line.split(" ");
  EXPECTED.set(`${name} ${kind} ${version}`, samples);
}

describe.each(ALL.map(({ api, cases }) => ({ name: api.name, cases })))("$name", ({ cases }) => {
  test("is written as Kafka writes it", () => {
    const written = cases.map(({ api, kind, version, sample }) => {
      const writer = new Writer();
      api[kind](version).write(writer, sample);
      return { kind, version, bytes: writer.buffer.subarray(0, writer.length).toString("base64") };
    });
    expect(written).toEqual(
      cases.map(({ api, kind, version }, i) => {
        const bytes = EXPECTED.get(`${api.name} ${kind} ${version}`)?.[i % SAMPLES];
        return { kind, version, bytes };
      }),
    );
  });

  test("is read as Kafka wrote it", () => {
    cases.forEach(({ api, kind, version, sample }, i) => {
      const text = EXPECTED.get(`${api.name} ${kind} ${version}`)?.[i % SAMPLES] as string;
      const reader = new Reader(Buffer.from(text, "base64"));
      const message = api[kind](version).read(reader);
      expect({ kind, version, message: settled(message) }).toEqual({
        kind,
        version,
        message: settled(sample),
      });
      expect(reader.remaining).toBe(0);
    });
  });
});

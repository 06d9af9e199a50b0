import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  CLIENT_PORTS,
  environmentName,
  flagName,
  isSecure,
  limitsOf,
  OPTION_NAMES,
  OPTIONS,
} from "../config.ts";
import { ConfigError, configure, loadConfiguration } from "./sources.ts";

const directory = mkdtempSync(join(tmpdir(), "polymq-config-"));

function file(text: string): string {
  const path = join(directory, "polymq.yaml");
  writeFileSync(path, text);
  return path;
}

function off(which: (port: (typeof CLIENT_PORTS)[number]) => boolean): Record<string, string> {
  return Object.fromEntries(CLIENT_PORTS.filter(which).map((name) => [name, "off"]));
}

async function refusal(flags: Record<string, string>, environment: NodeJS.ProcessEnv = {}): Promise<string> {
  const error = await loadConfiguration(flags, environment).then(
    () => new Error("was accepted"),
    (reason: Error) => reason,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return error.message;
}

describe("precedence", () => {
  test("flag, then environment, then file, then default", async () => {
    const config = file("amqp: { port: 1 }\nhost: 127.0.0.2\nhttp:\n  port: 3\ndurability: os\n");
    const { settings, given } = await loadConfiguration(
      { config, amqpPort: "11" },
      { POLYMQ_AMQP_PORT: "7", POLYMQ_HOST: "127.0.0.3", PATH: "/bin" },
    );
    expect(settings).toMatchObject({ amqpPort: 11, host: "127.0.0.3", httpPort: 3, durability: "os" });
    expect(settings.logLevel).toBe("info");
    expect(given.get("amqpPort")!.place).toBe("--amqp-port");
    expect(given.get("host")!.place).toBe("POLYMQ_HOST");
    expect(given.get("httpPort")!.place).toBe(`${config}, line 4`);
    expect(given.get("logLevel")!.place).toBe("default");
  });

  test("the file may be named by the environment", async () => {
    const { settings } = await loadConfiguration({}, { POLYMQ_CONFIG: file("amqp: { port: 5 }\n") });
    expect(settings.amqpPort).toBe(5);
  });

  test("every option can be given by flag, environment and file", async () => {
    // In the text of its own default, so that every value is good.
    const { given } = configure([]);
    for (const name of OPTION_NAMES) {
      const text = given.get(name)!.text;
      const companion: NodeJS.ProcessEnv = name === "adminUser" ? { POLYMQ_ADMIN_PASSWORD: "x" } : {};
      expect((await loadConfiguration({ [name]: text }, companion)).given.get(name)!.place).toBe(
        `--${flagName(name)}`,
      );
      const variable = environmentName(name);
      expect((await loadConfiguration({}, { ...companion, [variable]: text })).given.get(name)!.place).toBe(
        variable,
      );
      const keys = OPTIONS[name].file.split(".");
      const yaml = keys.map((key, depth) => `${"  ".repeat(depth)}${key}:`).join("\n");
      const loaded = await loadConfiguration(
        { config: file(`${yaml} ${JSON.stringify(text)}\n`) },
        companion,
      );
      expect(loaded.given.get(name)!.place).toContain(", line ");
    }
  });
});

describe("refusals", () => {
  test("all that is wrong is said at once", async () => {
    const config = file("amqp:\n  prot: 1\n");
    const text = await refusal({ config, durability: "sync" }, { POLYMQ_AMQP_PROT: "1" });
    expect(text.split("\n")).toEqual([
      "unknown environment variable POLYMQ_AMQP_PROT; did you mean 'POLYMQ_AMQP_PORT'?",
      `${config}, line 2: unknown key 'amqp.prot'; did you mean 'amqp.port'?`,
      "--durability: durability: 'sync' is none of fsync, os, memory; did you mean 'fsync'?",
    ]);
  });

  test.each([
    ["amqp-port: 1", "unknown key 'amqp-port'; did you mean 'amqp.port'?"],
    ["httpPort: 1", "unknown key 'httpPort'; did you mean 'http.port'?"],
    ["colour: red", "line 1: unknown key 'colour'"],
    ["amqp: 5672", "unknown key 'amqp'"],
    ["host: [a, b]", "'host' needs a single value"],
    ["host: a\nhost: b", "line 2: Map keys must be unique"],
    ["- host", "must be a map"],
    ["host: 'a", "line 1: Missing closing"],
  ])("file: %s", async (yaml, reason) => expect(await refusal({ config: file(yaml) })).toContain(reason));

  test("a file that is not there", async () => {
    expect(await refusal({ config: join(directory, "missing.yaml") })).toContain(
      "cannot read the configuration file",
    );
  });

  test("a variable that nothing comes near gets no suggestion", async () => {
    expect(await refusal({}, { POLYMQ_XYZZY: "1" })).toBe("unknown environment variable POLYMQ_XYZZY");
  });

  test.each([
    [{ tlsCert: "a.pem" }, "tls-cert and tls-key go together"],
    [{ amqpsPort: "5671" }, "amqps-port needs tls-cert and tls-key"],
    [{ tlsVerifyPeer: "yes", tlsCert: "a", tlsKey: "b" }, "tls-verify-peer needs tls-ca"],
    [{ tlsCert: "a", tlsKey: "b", ...off(isSecure) }, "act on amqps-port"],
    [{ engine: "memory:", durability: "fsync" }, "more than engine memory: can give"],
    [{ checkpointInterval: "1s" }, "acts with durability memory only"],
    [{ engine: "file:/a", dataDir: "/b" }, "name two places"],
    [{ adminUser: "ann" }, "admin-user needs admin-password"],
    [{ heartbeat: "1500ms" }, "heartbeat must be whole seconds"],
    [off(() => true), "no port to listen on"],
    [{ proxyProtocol: "amqp, ampqs" }, "proxy-protocol: 'ampqs' is no listener"],
    [{ proxyTrusted: "proxy.example" }, "neither an address nor a network"],
    [{ wsOrigins: "chat.example" }, "is no origin"],
    [{ memoryBudget: "1MiB" }, "memory-budget must be at least 16 MiB"],
    [
      { memoryBudget: "2GiB", memoryHighWatermark: "1GiB" },
      "memory-budget must be less than memory-high-watermark",
    ],
    [{ frameMax: "4095" }, "frame-max must be at least"],
  ])("%o", async (flags, reason) => expect(await refusal(flags as Record<string, string>)).toContain(reason));
});

describe("defaults that depend", () => {
  test("a certificate opens the TLS port", () => {
    const layer = new Map([
      ["tlsCert", { text: "a.pem", place: "test" }],
      ["tlsKey", { text: "a.key", place: "test" }],
    ] as const);
    expect(configure([layer]).settings.amqpsPort).toBe(5671);
    expect(configure([]).settings.amqpsPort).toBeNull();
  });

  test("HTTP listens where everything else does", async () => {
    const { settings } = await loadConfiguration({ host: "0.0.0.0" }, {});
    expect(settings.httpHost).toBe("0.0.0.0");
  });

  test("memory cannot be durable", async () => {
    expect((await loadConfiguration({ engine: "memory:" }, {})).settings.durability).toBe("memory");
  });
});

test("the addresses of a service called polymq are no options", async () => {
  const { settings } = await loadConfiguration(
    {},
    {
      POLYMQ_PORT: "tcp://10.0.0.1:5672",
      POLYMQ_SERVICE_HOST: "10.0.0.1",
      POLYMQ_SERVICE_PORT_AMQP: "5672",
      POLYMQ_PORT_5672_TCP_ADDR: "10.0.0.1",
      POLYMQ_AMQP_PORT: "tcp://10.0.0.1:5672",
    },
  );
  expect(settings.amqpPort).toBe(5672);
});

test("limits are what the options say", async () => {
  const { settings } = await loadConfiguration(
    { heartbeat: "off", channelMax: "10", maxMessageBytes: "1MiB" },
    {},
  );
  expect(limitsOf(settings)).toMatchObject({
    heartbeatSeconds: 0,
    channelsMax: 10,
    messageBytesMax: 1_048_576,
  });
});

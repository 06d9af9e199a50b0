import { readFile } from "node:fs/promises";
import { totalmem } from "node:os";
import {
  CLIENT_PORTS,
  ENVIRONMENT_PREFIX,
  environmentName,
  flagName,
  isSecure,
  limitsOf,
  listenerName,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  type Settings,
} from "../config.ts";
import { nearest, suggestion } from "./nearest.ts";

/** Refused at start; the message lists everything that is wrong, one line each. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

export interface Given {
  readonly text: string;
  /** As the user would find it: "--amqp-port", "POLYMQ_AMQP_PORT", "polymq.yaml, line 3". */
  readonly place: string;
}

/** What one source says, by option. */
export type Layer = ReadonlyMap<OptionName, Given>;

export interface Configuration {
  readonly settings: Settings;
  /** By option: the text it was made of, and where that came from. */
  readonly given: ReadonlyMap<OptionName, Given>;
}

export const DEFAULT_PLACE = "default";
export const CONFIG_FILE_VARIABLE = environmentName("config");

/** Flags beat the environment, which beats the file, which beats the defaults. @throws ConfigError */
export async function loadConfiguration(
  flags: Readonly<Record<string, string>>,
  environment: NodeJS.ProcessEnv,
): Promise<Configuration> {
  const problems: string[] = [];
  const flagLayer = fromFlags(flags);
  const environmentLayer = fromEnvironment(environment, problems);
  const file = flags.config ?? environment[CONFIG_FILE_VARIABLE];
  const fileLayer = file === undefined ? new Map() : await fromFile(file, problems);
  return configure([flagLayer, environmentLayer, fileLayer], problems);
}

/** @param layers strongest first. @throws ConfigError also when `problems` were found before */
export function configure(layers: readonly Layer[], problems: string[] = []): Configuration {
  const given = new Map<OptionName, Given>();
  const values: Record<string, unknown> = {};
  const machineMemoryBytes = machineMemory();
  const known = { text: (name: string) => given.get(name as OptionName)?.text ?? "", machineMemoryBytes };
  for (const name of OPTION_NAMES) {
    const option = OPTIONS[name];
    const set = layers.map((layer) => layer.get(name)).find((found) => found !== undefined);
    const text = set?.text ?? (typeof option.default === "string" ? option.default : option.default(known));
    given.set(name, set ?? { text, place: DEFAULT_PLACE });
    try {
      values[name] = option.type.parse(text);
    } catch (error) {
      problems.push(`${set?.place ?? DEFAULT_PLACE}: ${flagName(name)}: ${(error as Error).message}`);
    }
  }
  if (problems.length === 0) problems.push(...contradictions(values as Settings, given));
  if (problems.length > 0) throw new ConfigError(problems.join("\n"));
  return { settings: values as Settings, given };
}

function fromFlags(flags: Readonly<Record<string, string>>): Layer {
  const set = OPTION_NAMES.filter((name) => flags[name] !== undefined);
  return new Map(set.map((name) => [name, { text: flags[name]!, place: `--${flagName(name)}` }]));
}

/**
 * Kubernetes and old container links put the address of every service into every container's
 * environment: a service called "polymq" or "polymq-amqp" must not keep the broker from starting.
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    /_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/.test(name) ||
    (name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value))
  );
}

function fromEnvironment(environment: NodeJS.ProcessEnv, problems: string[]): Layer {
  const names = new Map(OPTION_NAMES.map((name) => [environmentName(name), name]));
  const layer = new Map<OptionName, Given>();
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || value === undefined || variable === CONFIG_FILE_VARIABLE)
      continue;
    if (isServiceLink(variable, value)) continue;
    const name = names.get(variable);
    if (name !== undefined) layer.set(name, { text: value, place: variable });
    else problems.push(`unknown environment variable ${variable}${environmentSuggestion(variable)}`);
  }
  return layer;
}

/** What all names begin with would make every two of them look alike. */
function environmentSuggestion(variable: string): string {
  const found = nearest(variable.slice(ENVIRONMENT_PREFIX.length), [...OPTION_NAMES, "config"]);
  return found === undefined ? "" : `; did you mean '${environmentName(found)}'?`;
}

async function fromFile(path: string, problems: string[]): Promise<Layer> {
  const layer = new Map<OptionName, Given>();
  let source: string;
  try {
    source = await readFile(path, "utf8");
  } catch (error) {
    problems.push(`cannot read the configuration file: ${(error as Error).message}`);
    return layer;
  }
  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const line = (offset: number | undefined) => `${path}, line ${lines.linePos(offset ?? 0).line}`;
  for (const error of document.errors) problems.push(`${line(error.pos[0])}: ${error.message}`);
  const names = new Map<string, OptionName>(OPTION_NAMES.map((name) => [OPTIONS[name].file, name]));
  const groups = new Set(
    [...names.keys()].filter((key) => key.includes(".")).map((key) => key.split(".")[0]!),
  );
  const visit = (node: unknown, prefix: string): void => {
    if (!isMap(node)) return;
    for (const { key, value } of node.items) {
      const path = `${prefix}${isScalar(key) ? key.value : key}`;
      const place = line(isScalar(key) ? key.range?.[0] : undefined);
      const name = names.get(path);
      if (name === undefined && groups.has(path) && (isMap(value) || isEmpty(value)))
        visit(value, `${path}.`);
      else if (name === undefined)
        problems.push(`${place}: unknown key '${path}'${fileSuggestion(path, names)}`);
      else if (isScalar(value) && value.value !== null) layer.set(name, { text: String(value.value), place });
      else problems.push(`${place}: '${path}' needs a single value`);
    }
  };
  const isEmpty = (node: unknown): boolean => node === null || (isScalar(node) && node.value === null);
  if (isMap(document.contents)) visit(document.contents, "");
  else if (!isEmpty(document.contents)) problems.push(`${path}: must be a map of keys and values`);
  return layer;
}

/** Whoever writes the flag's name into the file is told the key; "amqp.prot" is compared as a whole. */
function fileSuggestion(path: string, names: ReadonlyMap<string, OptionName>): string {
  const byFlag = OPTION_NAMES.find((name) => flagName(name) === path);
  return suggestion(byFlag === undefined ? path : OPTIONS[byFlag].file, names.keys());
}

/** A container may have less than the machine around it. */
function machineMemory(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** What each option alone cannot know. */
function contradictions(settings: Settings, given: ReadonlyMap<OptionName, Given>): string[] {
  const isSet = (name: OptionName) => given.get(name)?.place !== DEFAULT_PLACE;
  const { engine } = settings;
  const open = CLIENT_PORTS.filter((name) => settings[name] !== null);
  const secure = open.find(isSecure);
  const securePorts = CLIENT_PORTS.filter(isSecure).map(flagName).join(", ");
  const { proxyProtocol } = settings;
  const strangers = proxyProtocol === "all" ? [] : proxyProtocol.filter((name) => !isListener(name));
  const rules: [boolean, string][] = [
    [(settings.tlsCert === null) !== (settings.tlsKey === null), "tls-cert and tls-key go together"],
    [
      secure !== undefined && settings.tlsCert === null,
      `${flagName(secure ?? "")} needs tls-cert and tls-key`,
    ],
    [settings.tlsVerifyPeer && settings.tlsCa === null, "tls-verify-peer needs tls-ca"],
    [
      (settings.tlsCert ?? settings.tlsCa) !== null && secure === undefined && settings.sharedPort === null,
      `tls-cert and tls-ca act on ${securePorts}: off`,
    ],
    [
      settings.checkpointInterval !== null && settings.durability !== "memory",
      "checkpoint-interval acts with durability memory only; else every message is kept as it comes",
    ],
    [
      settings.durability !== "memory" && engine.scheme === "memory",
      `durability ${settings.durability} is more than engine memory: can give`,
    ],
    [engine.path !== null && isSet("dataDir"), `engine file:${engine.path} and data-dir name two places`],
    [
      isSet("adminUser") && !isSet("adminPassword"),
      `admin-user needs admin-password (or ${environmentName("adminPassword")})`,
    ],
    [(settings.heartbeat ?? 0) % 1000 !== 0, "heartbeat must be whole seconds"],
    [strangers.length > 0, `proxy-protocol: ${strangers.map((name) => `'${name}'`)} is no listener`],
    [open.length === 0, `no port to listen on: ${CLIENT_PORTS.map(flagName).join(", ")} are off`],
  ];
  const found = rules.filter(([broken]) => broken).map(([, text]) => text);
  try {
    limitsOf(settings);
  } catch (error) {
    found.push((error as Error).message);
  }
  return found;
}

function isListener(name: string): boolean {
  return CLIENT_PORTS.some((port) => listenerName(port) === name);
}

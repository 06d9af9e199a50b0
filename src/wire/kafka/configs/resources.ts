// What can be configured, one kind of resource like the other.
import type { Peer } from "../api.ts";
import { KafkaError } from "../errors.ts";
import { brokerConfigs } from "./broker-configs.ts";
import { groupConfigs } from "./group-configs.ts";
import {
  readTopicConfigs,
  showTopicConfigs,
  topicConfigType,
  topicDefaultType,
  topicTexts,
} from "./topic-configs.ts";
import { elementsOf, RESOURCES, type ShownConfig, TYPES } from "./values.ts";

/** One topic, broker or group, for the user of one connection. */
export interface ConfigResource {
  /** @throws KafkaError for one that does not exist or may not be seen */
  show(): ShownConfig[];
  /** What is set for just this resource. @throws KafkaError likewise */
  own(): Map<string, string>;
  /** One of TYPES. @throws KafkaError INVALID_CONFIG when there is no such configuration */
  typeOf(name: string): number;
  /** Checks what shall be set from now on, all of it; the result puts it into force. @throws KafkaError INVALID_CONFIG */
  prepare(texts: ReadonlyMap<string, string>): () => void;
}

/** For reading. @throws KafkaError */
export function resourceToRead(peer: Peer, type: number, name: string): ConfigResource {
  return resourceOf(peer, type, name, "describe-configs");
}

/** For changing. @throws KafkaError */
export function resourceToChange(peer: Peer, type: number, name: string): ConfigResource {
  return resourceOf(peer, type, name, "alter-configs");
}

type Right = "describe-configs" | "alter-configs";

function resourceOf(peer: Peer, type: number, name: string, right: Right): ConfigResource {
  if (type === RESOURCES.TOPIC) return topicResource(peer, name, right);
  if (type === RESOURCES.BROKER) return brokerResource(peer, name, right);
  if (type === RESOURCES.GROUP) return groupResource(peer, name, right);
  throw new KafkaError("INVALID_REQUEST", `There are no configurations of resource type ${type}`);
}

function topicResource(peer: Peer, name: string, right: Right): ConfigResource {
  const { session, rights, node } = peer;
  if (!rights.may(right, "stream", name)) throw new KafkaError("TOPIC_AUTHORIZATION_FAILED");
  const topic = session.streams.find(name);
  if (topic === null) throw new KafkaError("UNKNOWN_TOPIC_OR_PARTITION");
  return {
    show: () => showTopicConfigs(topic, brokerConfigs(node).defaultsOfTopics(peer)),
    own: () => topicTexts(topic),
    typeOf: topicConfigType,
    prepare: (texts) => {
      const { overrides, attributes } = readTopicConfigs(texts, session.streams);
      session.streams.tryAlter(name, overrides);
      return () => session.streams.alter(name, overrides, { ...foreignAttributes(topic), ...attributes });
    },
  };
}

/** What other protocols keep with the stream. */
function foreignAttributes(topic: { readonly attributes: Readonly<Record<string, string>> }) {
  const ours = topicTexts({ overrides: {}, attributes: topic.attributes });
  return Object.fromEntries(Object.entries(topic.attributes).filter(([name]) => !ours.has(name)));
}

function brokerResource(peer: Peer, name: string, right: Right): ConfigResource {
  const { node, rights } = peer;
  if (!rights.may(right, "cluster", "cluster")) throw new KafkaError("CLUSTER_AUTHORIZATION_FAILED");
  if (name !== "" && name !== `${node.settings.nodeId}`) {
    throw new KafkaError("INVALID_REQUEST", `There is no broker ${name}`);
  }
  const configs = brokerConfigs(node);
  const ofTopics = (config: string): boolean => topicDefaultType(config) !== null;
  return {
    show: () => configs.show(name, peer),
    own: () => new Map([...configs.changed(name), ...configs.changedOfTopics(name, peer)]),
    typeOf: (config) => topicDefaultType(config) ?? configs.typeOf(config),
    prepare: (texts) => {
      const checked = configs.check(new Map([...texts].filter(([config]) => !ofTopics(config))));
      const ofTheTopics = new Map([...texts].filter(([config]) => ofTopics(config)));
      const apply = configs.prepareOfTopics(name, ofTheTopics, peer);
      return () => {
        apply();
        configs.change(name, checked);
      };
    },
  };
}

function groupResource({ node, rights }: Peer, name: string, right: Right): ConfigResource {
  if (!rights.may(right, "group", name)) throw new KafkaError("GROUP_AUTHORIZATION_FAILED");
  if (name === "") throw new KafkaError("INVALID_REQUEST", "The group id must not be empty");
  const configs = groupConfigs(node);
  return {
    show: () => configs.show(name),
    own: () => new Map(configs.changed(name)),
    typeOf: (config) => configs.typeOf(config),
    prepare: (texts) => {
      const checked = configs.check(texts);
      return () => configs.change(name, checked);
    },
  };
}

const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

export interface ConfigChange {
  readonly name: string;
  readonly configOperation: number;
  readonly value: string | null;
}

/** What is set after the changes. @throws KafkaError INVALID_CONFIG, INVALID_REQUEST */
export function applyChanges(
  resource: ConfigResource,
  changes: readonly ConfigChange[],
): Map<string, string> {
  const texts = resource.own();
  const seen = new Set<string>();
  for (const { name, configOperation, value } of changes) {
    if (seen.has(name)) throw new KafkaError("INVALID_REQUEST", `${name} is changed more than once`);
    seen.add(name);
    // What is not set can be forgotten, even what there is not: tools clear configurations without asking.
    if (configOperation === DELETE) {
      texts.delete(name);
      continue;
    }
    const type = resource.typeOf(name);
    if (value === null) throw new KafkaError("INVALID_REQUEST", `${name} has no value`);
    if (configOperation !== SET && type !== TYPES.LIST) {
      throw new KafkaError("INVALID_CONFIG", `Cannot append to or subtract from ${name}: it is no list`);
    }
    texts.set(
      name,
      configOperation === SET ? value : changedList(resource, texts, name, configOperation, value),
    );
  }
  return texts;
}

function changedList(
  resource: ConfigResource,
  texts: ReadonlyMap<string, string>,
  name: string,
  operation: number,
  value: string,
): string {
  if (operation !== APPEND && operation !== SUBTRACT) {
    throw new KafkaError("INVALID_REQUEST", `Unknown operation ${operation} for ${name}`);
  }
  const shown = resource.show().find((config) => config.name === name)?.value ?? "";
  const now = elementsOf(texts.get(name) ?? shown);
  const given = elementsOf(value);
  if (operation === APPEND) return [...now, ...given.filter((element) => !now.includes(element))].join(",");
  return now.filter((element) => !given.includes(element)).join(",");
}

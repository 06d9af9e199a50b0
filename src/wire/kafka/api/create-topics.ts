import { BrokerError } from "../../../base/errors.ts";
import type { StreamDeclaration } from "../../../broker/index.ts";
import { defineHandler, type KafkaNode, type Peer } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { brokerConfigs } from "../configs/broker-configs.ts";
import { readTopicConfigs, showTopicConfigs } from "../configs/topic-configs.ts";
import { durable } from "../durable.ts";
import { CODES, KafkaError, partRefusal } from "../errors.ts";
import { checkLegalName } from "../legal-name.ts";
import { repeated } from "../repeated.ts";
import { checkReplicas } from "../replicas.ts";
import { createTopics } from "../schemas/create-topics.ts";

type Asked = Request<typeof createTopics>["topics"][number];
type Result = NonNullable<Response<typeof createTopics>["topics"]>[number];

/** Each topic by itself: what becomes of one is nothing to the others. */
export const createTopicsHandler = defineHandler({
  api: createTopics,
  async handle({ topics, validateOnly }, { peer, node }) {
    const twice = repeated(topics.map(({ name }) => name));
    const results = topics.map((asked) => createTopic(peer, asked, twice.has(asked.name), validateOnly));
    await durable(node);
    // One answer for a name that came twice, as tools expect.
    return { topics: [...new Map(results.map((result) => [result.name, result])).values()] };
  },
});

function createTopic(peer: Peer, asked: Asked, twice: boolean, validateOnly: boolean): Result {
  const { name } = asked;
  try {
    if (twice) throw new KafkaError("INVALID_REQUEST", "Duplicate topic name.");
    checkLegalName(name);
    if (!peer.rights.may("create", "stream", name)) throw new KafkaError("TOPIC_AUTHORIZATION_FAILED");
    const { streams } = peer.session;
    if (streams.find(name) !== null) {
      throw new KafkaError("TOPIC_ALREADY_EXISTS", `Topic '${name}' already exists.`);
    }
    const declaration = declarationOf(peer, asked);
    if (validateOnly) streams.tryCreate(declaration);
    const topicId = validateOnly ? undefined : streams.create(declaration).id;
    return {
      name,
      topicId,
      errorMessage: null,
      numPartitions: declaration.partitions,
      replicationFactor: 1,
      ...shownConfigs(peer, declaration),
    };
  } catch (error) {
    return { name, ...refusedTopic(error), configs: null };
  }
}

/** @throws KafkaError */
function declarationOf({ node, session }: Peer, asked: Asked): StreamDeclaration {
  const { name, assignments } = asked;
  const partitions = assignments.length > 0 ? assignedPartitions(node, asked) : partitionsOf(node, asked);
  const texts = new Map(
    asked.configs.flatMap(({ name: key, value }) => (value === null ? [] : [[key, value]])),
  );
  return { name, partitions, ...readTopicConfigs(texts, session.streams) };
}

function partitionsOf(node: KafkaNode, { numPartitions, replicationFactor }: Asked): number {
  const strict = node.settings.replicationStrict;
  if (replicationFactor === 0 || replicationFactor < -1) {
    throw new KafkaError("INVALID_REPLICATION_FACTOR", "Replication factor must be larger than 0.");
  }
  if (strict && replicationFactor > 1) {
    const text = `Unable to replicate the partition ${replicationFactor} time(s): there is one broker.`;
    throw new KafkaError("INVALID_REPLICATION_FACTOR", text);
  }
  if (numPartitions === -1) return brokerConfigs(node).partitionsDefault;
  if (numPartitions < 1) {
    throw new KafkaError("INVALID_PARTITIONS", "Number of partitions must be larger than 0.");
  }
  return numPartitions;
}

function assignedPartitions(
  node: KafkaNode,
  { assignments, numPartitions, replicationFactor }: Asked,
): number {
  if (numPartitions !== -1 || replicationFactor !== -1) {
    const text = "With an assignment of replicas, partitions and replication factor must both be -1.";
    throw new KafkaError("INVALID_REQUEST", text);
  }
  const indexes = assignments.map(({ partitionIndex }) => partitionIndex).sort((a, b) => a - b);
  if (indexes.some((index, i) => index !== i)) {
    throw new KafkaError("INVALID_REPLICA_ASSIGNMENT", "Partitions must be consecutive, from 0 on.");
  }
  for (const { brokerIds } of assignments) checkReplicas(node, brokerIds);
  return indexes.length;
}

function shownConfigs(peer: Peer, topic: StreamDeclaration): Partial<Result> {
  if (!peer.rights.may("describe-configs", "stream", topic.name)) {
    return { topicConfigErrorCode: CODES.TOPIC_AUTHORIZATION_FAILED, configs: null };
  }
  const configs = showTopicConfigs(topic, brokerConfigs(peer.node).defaultsOfTopics(peer));
  return {
    configs: configs.map(({ name, value, source, readOnly }) => ({
      name,
      value,
      readOnly,
      configSource: source,
      isSensitive: false,
    })),
  };
}

function refusedTopic(error: unknown) {
  // The core's own bounds: which argument tells which code.
  if (
    error instanceof BrokerError &&
    error.code === "argument-invalid" &&
    error.detail.argument === "partitions"
  ) {
    return { errorCode: CODES.INVALID_PARTITIONS, errorMessage: error.message };
  }
  return partRefusal(error);
}

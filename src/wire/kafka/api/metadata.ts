import { BrokerError } from "../../../base/errors.ts";
import type { StreamHandle } from "../../../broker/index.ts";
import { advertisedAddress } from "../address.ts";
import { type Call, defineHandler, type KafkaNode, type Peer } from "../api.ts";
import { clusterId } from "../cluster-id.ts";
import type { Request, Response } from "../codec/api.ts";
import { ZERO_UUID } from "../codec/schema.ts";
import { brokerConfigs } from "../configs/broker-configs.ts";
import { durable } from "../durable.ts";
import { CODES, codeOf } from "../errors.ts";
import { allowedOperations, OPERATIONS_UNASKED } from "../operations.ts";
import { queueRoute } from "../queue-topic.ts";
import { queueTopicIds } from "../queue-topic-ids.ts";
import { metadata } from "../schemas/metadata.ts";

type Topic = NonNullable<Response<typeof metadata>["topics"]>[number];

/** What may be created: streams that were declared elsewhere are called what they are called. */
const LEGAL_NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;

/** Who is there, which topics there are, and who leads their partitions: this broker, always. */
export const metadataHandler = defineHandler({
  api: metadata,
  handle(request, call) {
    const answer = new MetadataAnswer(request, call);
    const response = answer.response();
    return answer.created ? durable(call.node).then(() => response) : response;
  },
});

class MetadataAnswer {
  created = false;
  private readonly request: Request<typeof metadata>;
  private readonly version: number;
  private readonly peer: Peer;
  private readonly node: KafkaNode;

  constructor(request: Request<typeof metadata>, { version, peer, node }: Call<typeof metadata>) {
    this.request = request;
    this.version = version;
    this.peer = peer;
    this.node = node;
  }

  response(): Response<typeof metadata> {
    const { nodeId } = this.node.settings;
    const askedForCluster = this.request.includeClusterAuthorizedOperations;
    return {
      brokers: [{ nodeId, ...advertisedAddress(this.peer) }],
      clusterId: this.node.part(clusterId),
      controllerId: nodeId,
      topics: this.topics(),
      clusterAuthorizedOperations: askedForCluster
        ? allowedOperations(this.peer.rights, "cluster")
        : OPERATIONS_UNASKED,
    };
  }

  private topics(): Topic[] {
    const { topics } = this.request;
    // Version 0 has no null: there an empty list means all.
    if (topics === null || (this.version === 0 && topics.length === 0)) return this.all();
    // Kafka's own client sends an empty name beside an id.
    return topics.map(({ name, topicId }) =>
      name === null || topicId !== ZERO_UUID ? this.byId(topicId) : this.byName(name),
    );
  }

  private all(): Topic[] {
    const { session, rights } = this.peer;
    return Array.from(session.streams.all())
      .filter(({ name }) => rights.may("describe", "stream", name))
      .map((stream) => this.described(stream));
  }

  private byId(topicId: string): Topic {
    const stream = this.peer.session.streams.findById(topicId);
    const visible = stream !== null && this.peer.rights.may("describe", "stream", stream.name);
    if (!visible) return { errorCode: CODES.UNKNOWN_TOPIC_ID, name: null, topicId };
    return this.described(stream);
  }

  private byName(name: string): Topic {
    const { session, rights } = this.peer;
    const failed = (errorCode: number): Topic => ({ errorCode, name, topicId: ZERO_UUID });
    if (!rights.may("describe", "stream", name)) return failed(CODES.TOPIC_AUTHORIZATION_FAILED);
    const stream = session.streams.find(name);
    if (stream !== null) return this.described(stream);
    if (typeof queueRoute(this.peer, name) !== "number") return this.onePartition(name);
    if (!LEGAL_NAME.test(name)) return failed(CODES.INVALID_TOPIC_EXCEPTION);
    const { autoCreateTopics, partitionsDefault } = brokerConfigs(this.node);
    if (!autoCreateTopics || !this.request.allowAutoTopicCreation)
      return failed(CODES.UNKNOWN_TOPIC_OR_PARTITION);
    if (!rights.may("create", "stream", name)) return failed(CODES.TOPIC_AUTHORIZATION_FAILED);
    try {
      const made = session.streams.create({
        name,
        partitions: partitionsDefault,
        overrides: {},
        attributes: {},
      });
      this.created = true;
      return this.described(made);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      // A queue that is no stream has the name: no topic can.
      const code = error.code === "stream-exists" ? CODES.INVALID_TOPIC_EXCEPTION : codeOf(error);
      return failed(code);
    }
  }

  /** A queue: it is not listed, but can be written to by who knows its name. */
  private onePartition(name: string): Topic {
    const { nodeId } = this.node.settings;
    const alone = [nodeId];
    return {
      name,
      topicId: queueTopicIds(this.node).idOf(name),
      partitions: [
        { partitionIndex: 0, leaderId: nodeId, leaderEpoch: 0, replicaNodes: alone, isrNodes: alone },
      ],
      topicAuthorizedOperations: OPERATIONS_UNASKED,
    };
  }

  private described(stream: StreamHandle): Topic {
    const { nodeId } = this.node.settings;
    const alone = [nodeId];
    return {
      name: stream.name,
      topicId: stream.id,
      partitions: stream.partitions.map(({ index, epoch }) => ({
        partitionIndex: index,
        leaderId: nodeId,
        leaderEpoch: epoch,
        replicaNodes: alone,
        isrNodes: alone,
      })),
      topicAuthorizedOperations: this.request.includeTopicAuthorizedOperations
        ? allowedOperations(this.peer.rights, "stream", stream.name)
        : OPERATIONS_UNASKED,
    };
  }
}

import { defineHandler, type Peer } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { durable } from "../durable.ts";
import { KafkaError, partRefusal } from "../errors.ts";
import { repeated } from "../repeated.ts";
import { checkReplicas } from "../replicas.ts";
import { createPartitions } from "../schemas/create-partitions.ts";

type Asked = Request<typeof createPartitions>["topics"][number];
type Result = NonNullable<Response<typeof createPartitions>["results"]>[number];

/** More partitions for topics: there is no way to have fewer. */
export const createPartitionsHandler = defineHandler({
  api: createPartitions,
  async handle({ topics, validateOnly }, { peer, node }) {
    const twice = repeated(topics.map(({ name }) => name));
    const results = topics.map((asked) => growTopic(peer, asked, twice.has(asked.name), validateOnly));
    await durable(node);
    return { results: [...new Map(results.map((result) => [result.name, result])).values()] };
  },
});

function growTopic(peer: Peer, asked: Asked, twice: boolean, validateOnly: boolean): Result {
  const { name, count } = asked;
  const { rights, session } = peer;
  try {
    if (twice) throw new KafkaError("INVALID_REQUEST", "Duplicate topic in request.");
    if (!rights.may("alter", "stream", name)) throw new KafkaError("TOPIC_AUTHORIZATION_FAILED");
    const topic = session.streams.find(name);
    if (topic === null) throw new KafkaError("UNKNOWN_TOPIC_OR_PARTITION");
    checkGrowth(peer, asked, topic.partitions.length);
    if (!validateOnly) session.streams.grow(name, count);
    return { name };
  } catch (error) {
    return { name, ...partRefusal(error) };
  }
}

/** @throws KafkaError */
function checkGrowth({ node }: Peer, { name, count, assignments }: Asked, now: number): void {
  if (count === now) throw new KafkaError("INVALID_PARTITIONS", `Topic already has ${now} partition(s).`);
  if (count < now) {
    const text = `The topic ${name} currently has ${now} partition(s); ${count} would not be an increase.`;
    throw new KafkaError("INVALID_PARTITIONS", text);
  }
  if (assignments === null) return;
  if (assignments.length !== count - now) {
    const text = `Attempted to add ${count - now} additional partition(s), but only ${assignments.length} assignment(s) were specified.`;
    throw new KafkaError("INVALID_REPLICA_ASSIGNMENT", text);
  }
  for (const { brokerIds } of assignments) checkReplicas(node, brokerIds);
}

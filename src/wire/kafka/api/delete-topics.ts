import type { StreamHandle } from "../../../broker/index.ts";
import { defineHandler, type Peer } from "../api.ts";
import type { Response } from "../codec/api.ts";
import { ZERO_UUID } from "../codec/schema.ts";
import { brokerConfigs } from "../configs/broker-configs.ts";
import { durable } from "../durable.ts";
import { KafkaError, partRefusal } from "../errors.ts";
import { deleteTopics } from "../schemas/delete-topics.ts";

type Result = NonNullable<Response<typeof deleteTopics>["responses"]>[number];

interface Asked {
  readonly name: string | null;
  readonly topicId: string;
}

/** By name, or from version 6 on by id. */
export const deleteTopicsHandler = defineHandler({
  api: deleteTopics,
  async handle({ topics, topicNames }, { version, peer, node }) {
    const asked = version >= 6 ? topics : topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
    const responses = asked.map((one) => deleteTopic(peer, one));
    await durable(node);
    return { responses };
  },
});

function deleteTopic(peer: Peer, { name, topicId }: Asked): Result {
  try {
    if ((name === null) === (topicId === ZERO_UUID)) {
      throw new KafkaError("INVALID_REQUEST", "A topic to delete has either a name or an id.");
    }
    const found = name === null ? findById(peer, topicId) : findByName(peer, name);
    if (!brokerConfigs(peer.node).deleteTopics) {
      throw new KafkaError("TOPIC_DELETION_DISABLED", "Topic deletion is disabled.");
    }
    peer.session.streams.delete(found.name);
    return { name: found.name, topicId: found.id };
  } catch (error) {
    return { name, topicId, ...partRefusal(error) };
  }
}

/** Who may not see a topic is not told whether there is one. */
function findByName({ rights, session }: Peer, name: string): StreamHandle {
  if (!rights.may("delete", "stream", name)) throw new KafkaError("TOPIC_AUTHORIZATION_FAILED");
  const found = session.streams.find(name);
  if (found === null) throw new KafkaError("UNKNOWN_TOPIC_OR_PARTITION");
  return found;
}

function findById({ rights, session }: Peer, id: string): StreamHandle {
  const found = session.streams.findById(id);
  if (found === null) throw new KafkaError("UNKNOWN_TOPIC_ID", "This server does not host this topic ID.");
  if (!rights.may("delete", "stream", found.name)) throw new KafkaError("TOPIC_AUTHORIZATION_FAILED");
  return found;
}

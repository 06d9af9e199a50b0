import type { FetchedOffset, MemberClaim, PartitionName } from "../../../broker/index.ts";
import { type Call, defineHandler, type Peer } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { offsetFetch } from "../schemas/offset-fetch.ts";
import { topicName } from "../topic-name.ts";

/** From here on a request asks for many groups. */
const FIRST_WITH_MANY = 8;
/** From here on topics go by their ids. */
const FIRST_WITH_IDS = 10;
/** From here on an error of the group as a whole has a place in the answer. */
const FIRST_WITH_ERROR = 2;

interface WantedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitionIndexes: readonly number[];
}

interface Wanted {
  readonly groupId: string;
  readonly claim: MemberClaim | null;
  /** Null: everything. */
  readonly topics: readonly WantedTopic[] | null;
}

export const offsetFetchHandler = defineHandler({
  api: offsetFetch,
  handle(request, call) {
    const { requireStable } = request;
    if (call.version < FIRST_WITH_MANY) {
      const topics =
        request.topics?.map(({ name, partitionIndexes }) => ({ name, topicId: "", partitionIndexes })) ??
        null;
      const { groupId } = request;
      const { topics: found, errorCode } = fetched({ groupId, claim: null, topics }, requireStable, call);
      return { topics: found, errorCode };
    }
    return {
      groups: request.groups.map(({ groupId, memberId, memberEpoch, topics }) => {
        const known = memberId !== null && memberId !== "";
        const claim = known ? { memberId, instanceId: null, generation: memberEpoch } : null;
        return { groupId, ...fetched({ groupId, claim, topics }, requireStable, call) };
      }),
    };
  },
});

function fetched(wanted: Wanted, decidedOnly: boolean, { version, peer }: Call) {
  const { groups } = peer.session;
  const { groupId, claim, topics } = wanted;
  if (!peer.rights.may("describe", "group", groupId)) {
    return refusedGroup(wanted, CODES.GROUP_AUTHORIZATION_FAILED, version);
  }
  const byId = version >= FIRST_WITH_IDS;
  const names = topics?.map((topic) => topicName(peer, "describe", byId, topic)) ?? null;
  const partitions = topics?.flatMap(({ partitionIndexes }, index): PartitionName[] => {
    const stream = names?.[index].name ?? null;
    return stream === null ? [] : partitionIndexes.map((partition) => ({ stream, partition }));
  });
  const { refusal, offsets } = groups.fetchOffsets(groupId, {
    partitions: partitions ?? null,
    decidedOnly,
    claim,
  });
  if (refusal !== null) return refusedGroup(wanted, codeOf(refusal), version);
  if (topics === null || names === null) return { topics: everything(offsets, peer), errorCode: 0 };
  let next = 0;
  return {
    topics: topics.map(({ name, topicId, partitionIndexes }, index) => ({
      name,
      topicId,
      partitions: partitionIndexes.map((partition) =>
        names[index].name === null
          ? nothing(partition, names[index].code)
          : partitionAnswer(offsets[next++] as FetchedOffset),
      ),
    })),
    errorCode: CODES.NONE,
  };
}

/** All that there is of streams that the user may read, stream by stream. */
function everything(offsets: readonly FetchedOffset[], { rights, session }: Peer) {
  const byStream = new Map<string, FetchedOffset[]>();
  for (const offset of offsets) {
    const { stream } = offset;
    if (!rights.may("describe", "stream", stream)) continue;
    const others = byStream.get(stream);
    if (others === undefined) byStream.set(stream, [offset]);
    else others.push(offset);
  }
  return Array.from(byStream, ([name, all]) => ({
    name,
    topicId: session.streams.find(name)?.id,
    partitions: all.map(partitionAnswer),
  }));
}

function refusedGroup({ topics }: Wanted, errorCode: number, version: number) {
  const each = version < FIRST_WITH_ERROR ? errorCode : CODES.NONE;
  return {
    topics: (topics ?? []).map(({ name, topicId, partitionIndexes }) => ({
      name,
      topicId,
      partitions: partitionIndexes.map((partition) => nothing(partition, each)),
    })),
    errorCode,
  };
}

function partitionAnswer({ partition, refusal, offset, epoch, metadata }: FetchedOffset) {
  return {
    partitionIndex: partition,
    committedOffset: offset,
    committedLeaderEpoch: epoch,
    metadata,
    errorCode: codeOf(refusal),
  };
}

function nothing(partitionIndex: number, errorCode: number) {
  return { partitionIndex, committedOffset: -1, committedLeaderEpoch: -1, metadata: "", errorCode };
}

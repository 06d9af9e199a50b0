// A group of up to twenty members that join, leave, fall silent and are cut off, while the broker is killed
// now and then. No partition has two readers in one generation, and every record is processed.
//   CRASH_ROUNDS, CRASH_SEED   how long (2 s each), and which moments
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { heartbeat } from "../../src/wire/kafka/schemas/heartbeat.ts";
import { joinGroup } from "../../src/wire/kafka/schemas/join-group.ts";
import { leaveGroup } from "../../src/wire/kafka/schemas/leave-group.ts";
import { offsetCommit } from "../../src/wire/kafka/schemas/offset-commit.ts";
import { syncGroup } from "../../src/wire/kafka/schemas/sync-group.ts";
import { RawKafka } from "../support/kafka-raw.ts";
import { PolymqProcess } from "../support/polymq-process.ts";
import { randomFrom } from "../support/random.ts";
import { committedBy, kafkaOf, makeTopics, must, pause, Refused, readFrom, write } from "./kafka-peer.ts";

const rounds = Number(process.env.CRASH_ROUNDS ?? 6);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000_000);
const random = randomFrom(seed);

const [TOPIC, GROUP] = ["work", "workers"];
const PARTITIONS = 12;
const MEMBERS_MAX = 20;
const ROUND_MS = 2000;
const REJOIN = new Set([22, 25, 27]);

/** What the group told its members: who reads what in each generation. */
class Witness {
  readonly processed = Array.from({ length: PARTITIONS }, () => new Set<number>());
  generations = 0;
  private readonly readers = new Map<string, string>();
  private readonly leaders = new Map<number, string>();

  leads(generation: number, member: string): void {
    const known = this.leaders.get(generation);
    if (known !== undefined && known !== member) {
      throw new Error(`generation ${generation} has two leaders: ${known} and ${member}`);
    }
    this.leaders.set(generation, member);
    this.generations = this.leaders.size;
  }

  reads(generation: number, partition: number, member: string): void {
    const key = `${generation}/${partition}`;
    const known = this.readers.get(key);
    if (known !== undefined && known !== member) {
      throw new Error(
        `in generation ${generation}, partition ${partition} has two readers: ${known}, ${member}`,
      );
    }
    this.readers.set(key, member);
  }
}

type End = "leave" | "cut" | "silence";

/** One member's life; `end` is set from outside. */
class Member {
  end: End | null = null;
  private id = "";
  private generation = -1;
  private share: number[] = [];
  private readonly broker: PolymqProcess;
  private readonly witness: Witness;

  constructor(broker: PolymqProcess, witness: Witness) {
    this.broker = broker;
    this.witness = witness;
  }

  async live(): Promise<void> {
    while (this.end === null) {
      try {
        const peer = await RawKafka.open(kafkaOf(this.broker));
        try {
          await this.work(peer);
        } finally {
          if (this.end !== "silence") peer.close();
        }
      } catch (error) {
        if (error instanceof Refused && error.code === 25) this.id = "";
        // The broker is down, or says that we are out: again.
        if (error instanceof Error && error.message.includes("two")) throw error;
        await pause(20);
      }
    }
  }

  private async work(peer: RawKafka): Promise<void> {
    while (this.end === null) {
      await this.join(peer);
      while (this.end === null) {
        const code = await this.turn(peer);
        if (REJOIN.has(code)) {
          if (code === 25) this.id = "";
          break;
        }
        must("turn", code);
      }
    }
    if (this.end === "leave") await peer.ask(leaveGroup, 1, { groupId: GROUP, memberId: this.id });
  }

  private async join(peer: RawKafka): Promise<void> {
    const request = {
      groupId: GROUP,
      sessionTimeoutMs: 6000,
      rebalanceTimeoutMs: 3000,
      protocolType: "consumer",
      protocols: [{ name: "turns", metadata: new Uint8Array(0) }],
    };
    let joined = await peer.ask(joinGroup, 5, { ...request, memberId: this.id });
    if (joined.errorCode === 79) {
      this.id = joined.memberId;
      joined = await peer.ask(joinGroup, 5, { ...request, memberId: this.id });
    }
    must("join", joined.errorCode);
    this.id = joined.memberId;
    this.generation = joined.generationId;
    const leads = joined.leader === this.id;
    if (leads) this.witness.leads(this.generation, this.id);
    const assignments = leads ? divide(joined.members.map(({ memberId }) => memberId)) : [];
    const { generation: generationId, id: memberId } = this;
    const synced = await peer.ask(syncGroup, 3, { groupId: GROUP, generationId, memberId, assignments });
    if (REJOIN.has(synced.errorCode)) {
      this.share = [];
      return;
    }
    must("sync", synced.errorCode);
    this.share = [...synced.assignment];
    for (const partition of this.share) this.witness.reads(this.generation, partition, this.id);
  }

  /** Processes what there is of one's share, commits it and says that one lives. */
  private async turn(peer: RawKafka): Promise<number> {
    for (const partition of this.share) {
      const at = await committedBy(peer, GROUP, TOPIC, partition);
      const { records, next } = await readFrom(peer, TOPIC, partition, at);
      if (records.length === 0) continue;
      // Before the commit, whose answer may get lost: processed is processed.
      for (const { value } of records) this.witness.processed[partition]?.add(Number(value));
      const code = await this.commit(peer, partition, next);
      if (code !== 0) return code;
    }
    await pause(20);
    const { generation: generationId, id: memberId } = this;
    return (await peer.ask(heartbeat, 1, { groupId: GROUP, generationId, memberId })).errorCode;
  }

  private async commit(peer: RawKafka, partition: number, offset: number): Promise<number> {
    const answer = await peer.ask(offsetCommit, 2, {
      groupId: GROUP,
      generationIdOrMemberEpoch: this.generation,
      memberId: this.id,
      topics: [{ name: TOPIC, partitions: [{ partitionIndex: partition, committedOffset: offset }] }],
    });
    return answer.topics[0]?.partitions[0]?.errorCode ?? -1;
  }
}

/** Partitions in turns; a share is a byte for each of its partitions. */
function divide(members: readonly string[]) {
  return members.map((memberId, index) => {
    const share: number[] = [];
    for (let partition = index; partition < PARTITIONS; partition += members.length) share.push(partition);
    return { memberId, assignment: Uint8Array.from(share) };
  });
}

/** Writes numbers until told to stop; each counts when it is acknowledged. */
async function fill(broker: PolymqProcess, written: number[], over: () => boolean): Promise<void> {
  // Not answered: it may be stored, so it is written again until that is known.
  let open: number | null = null;
  while (!over() || open !== null) {
    try {
      const peer = await RawKafka.open(kafkaOf(broker));
      while (!over() || open !== null) {
        const partition: number = open ?? Math.floor(random() * PARTITIONS);
        const number = written[partition] as number;
        open = partition;
        await write(peer, TOPIC, partition, [`${number}`]);
        open = null;
        written[partition] = number + 1;
        await pause(2);
      }
      peer.close();
    } catch {
      await pause(20);
    }
  }
}

test(
  `${rounds} rounds, seed ${seed}`,
  async () => {
    console.log(`rebalance: CRASH_SEED=${seed} CRASH_ROUNDS=${rounds}`);
    const dataDir = mkdtempSync(join(tmpdir(), "polymq-rebalance-"));
    const broker = await PolymqProcess.start({ dataDir });
    onTestFinished(() => broker.kill9());
    const setUp = await RawKafka.open(kafkaOf(broker));
    await makeTopics(setUp, PARTITIONS, TOPIC);
    setUp.close();
    const witness = new Witness();
    const written = new Array<number>(PARTITIONS).fill(0);
    let over = false;
    const filling = fill(broker, written, () => over);
    const members: Member[] = [];
    const lives: Promise<void>[] = [];
    const comes = (): void => {
      const member = new Member(broker, witness);
      members.push(member);
      lives.push(member.live());
    };
    comes();
    for (let round = 0; round < rounds; round++) {
      for (const until = Date.now() + ROUND_MS; Date.now() < until; ) {
        await pause(20 + random() * 300);
        const goes = members.length > 1 && random() < 0.4;
        if (!goes && members.length < MEMBERS_MAX) comes();
        else {
          const [gone] = members.splice(Math.floor(random() * members.length), 1);
          if (gone !== undefined)
            gone.end = (["leave", "cut", "silence"] as const)[Math.floor(random() * 3)] ?? "cut";
        }
      }
      if (round % 3 === 2) {
        await broker.kill9();
        await broker.start();
      }
    }
    over = true;
    await filling;
    await expect
      .poll(() => witness.processed.map(({ size }) => size), { timeout: 60_000, interval: 100 })
      .toEqual(written);
    for (const member of members) member.end = "leave";
    await Promise.all(lives);
    const total = written.reduce((sum, count) => sum + count, 0);
    console.log(`rebalance: ${witness.generations} generations, ${total} records`);
    expect(witness.generations).toBeGreaterThan(rounds / 3);
    expect(total).toBeGreaterThan(rounds * 10);
    expect(await broker.stop()).toBe(0);
    rmSync(dataDir, { recursive: true, force: true });
  },
  120_000 + rounds * 30_000,
);

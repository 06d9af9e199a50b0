// Valid MQTT conversations, packet by packet, and their seeded spoiling. Input n of a seed is always the same bytes.
import { generate, type Packet } from "mqtt-packet";
import { type Random, randomFrom } from "../support/random.ts";

type Version = 4 | 5;
type Fields = Record<string, unknown>;

const packet = (version: Version, cmd: string, fields: Fields = {}): Buffer =>
  generate({ cmd, ...fields } as unknown as Packet, { protocolVersion: version });

const PROPERTIES = {
  payloadFormatIndicator: true,
  messageExpiryInterval: 60,
  contentType: "text/plain",
  responseTopic: "fuzz/answers",
  correlationData: Buffer.from([1, 2, 3]),
  userProperties: { a: ["1", "2"], b: "3" },
};

const WILL = { topic: "fuzz/will", payload: Buffer.from("gone"), qos: 1, retain: false };

function connect(version: Version, more: Fields = {}): Buffer {
  const fields = {
    protocolId: "MQTT",
    protocolVersion: version,
    clean: true,
    keepalive: 30,
    clientId: "",
    ...more,
  };
  return packet(version, "connect", fields);
}

const publish = (version: Version, qos: number, more: Fields = {}): Buffer =>
  packet(version, "publish", {
    topic: "fuzz/a/b",
    payload: Buffer.alloc(20, "x"),
    qos,
    dup: false,
    retain: false,
    ...(qos > 0 && { messageId: qos }),
    ...(version === 5 && { properties: PROPERTIES }),
    ...more,
  });

const subscribe = (version: Version, filters: readonly string[], more: Fields = {}): Buffer =>
  packet(version, "subscribe", {
    messageId: 9,
    subscriptions: filters.map((topic, i) => ({ topic, qos: i % 3 })),
    ...more,
  });

/** What may follow the CONNECT; each is a whole little story. */
function stories(version: Version): Buffer[][] {
  const filters = ["fuzz/#", "fuzz/+/b", "+/a/+", "$share/fuzz/fuzz/a/#", "$SYS/broker/uptime"];
  const simple = (cmd: string, fields: Fields = {}) => packet(version, cmd, fields);
  const all: Buffer[][] = [
    [
      subscribe(version, filters),
      publish(version, 0),
      publish(version, 1),
      publish(version, 2),
      simple("pubrel", { messageId: 2 }),
      simple("pingreq"),
      simple("disconnect"),
    ],
    [
      publish(version, 1, { retain: true }),
      subscribe(version, ["fuzz/a/+"]),
      simple("puback", { messageId: 1 }),
      simple("pubrec", { messageId: 1 }),
      simple("pubcomp", { messageId: 1 }),
      simple("unsubscribe", { messageId: 3, unsubscriptions: filters }),
      publish(version, 0, { retain: true, payload: "" }),
    ],
    [
      publish(version, 2, { payload: Buffer.alloc(40_000, "y") }),
      publish(version, 2, { dup: true }),
      simple("pingreq"),
    ],
  ];
  if (version === 4) return all;
  return [
    ...all,
    [
      subscribe(5, filters, { properties: { subscriptionIdentifier: 7, userProperties: { a: "b" } } }),
      publish(5, 1, { properties: { ...PROPERTIES, topicAlias: 1 } }),
      publish(5, 0, { topic: "", properties: { topicAlias: 1 } }),
      packet(5, "puback", { messageId: 1, reasonCode: 0x80, properties: { reasonString: "no" } }),
      packet(5, "auth", { reasonCode: 0x19, properties: { authenticationMethod: "SCRAM-SHA-256" } }),
      packet(5, "disconnect", { reasonCode: 4, properties: { sessionExpiryInterval: 0 } }),
    ],
  ];
}

const GREETINGS: readonly (readonly [Version, Buffer])[] = [
  [4, connect(4)],
  [4, connect(4, { will: WILL, username: "guest", password: Buffer.from("guest") })],
  [5, connect(5)],
  [
    5,
    connect(5, {
      properties: {
        receiveMaximum: 3,
        topicAliasMaximum: 2,
        maximumPacketSize: 200,
        userProperties: { a: "b" },
      },
      will: { ...WILL, properties: { willDelayInterval: 1, ...PROPERTIES } },
    }),
  ],
  [
    5,
    connect(5, {
      properties: {
        authenticationMethod: "SCRAM-SHA-256",
        authenticationData: Buffer.from("n,,n=guest,r=abc"),
      },
    }),
  ],
];

const STORIES: Readonly<Record<Version, Buffer[][]>> = { 4: stories(4), 5: stories(5) };

const below = (random: Random, limit: number) => Math.floor(random() * limit);
const oneOf = <T>(random: Random, items: readonly T[]): T => items[below(random, items.length)]!;
const NASTY = [0, 1, 2, 3, 0x0b, 0x23, 0x26, 0x2b, 0x7f, 0x80, 0xc0, 0xfe, 0xff];

type Mutation = (packets: Buffer[], at: number, random: Random) => void;

const changed =
  (change: (bytes: Buffer, position: number, random: Random) => void): Mutation =>
  (packets, at, random) => {
    const bytes = Buffer.from(packets[at]!);
    if (bytes.length > 0) change(bytes, below(random, bytes.length), random);
    packets[at] = bytes;
  };

const MUTATIONS: readonly Mutation[] = [
  changed((bytes, position, random) => {
    bytes[position]! ^= 1 << below(random, 8);
  }),
  changed((bytes, position, random) => {
    bytes[position] = oneOf(random, NASTY);
  }),
  // Type and flags, and the length behind them.
  changed((bytes, _position, random) => {
    bytes[0] = below(random, 256);
  }),
  changed((bytes, _position, random) => {
    if (bytes.length > 1) bytes[1] = oneOf(random, NASTY);
  }),
  changed((bytes, position, random) => {
    if (position + 2 <= bytes.length)
      bytes.writeUInt16BE(oneOf(random, [0, 1, 4, 255, 0x7fff, 0xffff]), position);
  }),
  (packets, at, random) => {
    packets[at] = packets[at]!.subarray(0, below(random, packets[at]!.length + 1));
    if (random() < 0.5) packets.length = at + 1;
  },
  (packets, at) => void packets.splice(at, 1),
  (packets, at, random) => void packets.splice(at, 0, ...new Array(1 + below(random, 20)).fill(packets[at])),
  (packets, at, random) => {
    const other = below(random, packets.length);
    [packets[at], packets[other]] = [packets[other]!, packets[at]!];
  },
  (packets, at, random) => {
    const noise = Buffer.from(Array.from({ length: 1 + below(random, 64) }, () => below(random, 256)));
    packets.splice(at, 0, noise);
  },
  (packets, at, random) =>
    void packets.splice(at, 0, oneOf(random, oneOf(random, STORIES[oneOf(random, [4, 5] as const)]))),
];

export interface MqttInput {
  /** In the order and the portions to write them. */
  readonly chunks: Buffer[];
  /** Null when it is spoilt itself: then nobody knows what the broker will answer in. */
  readonly version: Version | null;
}

/** One spoilt conversation. */
export function mqttInput(seed: number, index: number): MqttInput {
  const random = randomFrom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const [spoken, greeting] = oneOf(random, GREETINGS);
  const story = oneOf(random, STORIES[spoken]);
  // One in four spoils the CONNECT, too; the others get in first.
  const spoilsGreeting = random() < 0.25;
  const packets = spoilsGreeting ? [greeting, ...story] : [...story];
  for (let i = 1 + below(random, 3); i > 0; i--) {
    if (packets.length > 0) oneOf(random, MUTATIONS)(packets, below(random, packets.length), random);
  }
  const bytes = Buffer.concat(spoilsGreeting ? packets : [greeting, ...packets]);
  const version = spoilsGreeting ? null : spoken;
  if (random() < 0.7) return { chunks: [bytes], version };
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = chunks.length > 100 ? bytes.length : 1 + below(random, random() < 0.5 ? 10 : 500);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return { chunks, version };
}

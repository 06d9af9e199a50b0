// Conversations in STOMP, for brokers to be compared by. `$` in front of a name makes it this run's own; `{ack 0}` is the
// ack header of the first MESSAGE that this client got, and likewise any other header.
import { acknowledging, lasting, transactions } from "./stomp-settling.ts";
import { frame, login, raw, type Scenario, say, send, subscribe } from "./stomp-steps.ts";

const loggingIn: Scenario[] = [
  ...["1.0", "1.1", "1.2", "1.0,1.1", "1.1,1.2,1.0", "1.2,1.3", "2.0", ""].map((version) => ({
    name: `accept-version '${version}'`,
    steps: [login(version)],
  })),
  { name: "no accept-version", steps: [raw("CONNECT\nlogin:guest\npasscode:guest\nhost:/\n\n\0")] },
  { name: "STOMP in place of CONNECT", steps: [raw(frame("STOMP", { "accept-version": "1.2", host: "/" }))] },
  { name: "no login", steps: [raw(frame("CONNECT", { "accept-version": "1.2", host: "/" }))] },
  { name: "no host", steps: [raw(frame("CONNECT", { "accept-version": "1.2" }))] },
  { name: "unknown virtual host", steps: [login("1.2", { host: "$nowhere" })] },
  { name: "wrong password", steps: [login("1.2", { passcode: "wrong" })] },
  { name: "unknown user", steps: [login("1.2", { login: "nobody", passcode: "x" })] },
  { name: "receipt for CONNECT", steps: [login("1.2", { receipt: "c" })] },
  { name: "CONNECT twice", steps: [login(), login()] },
  { name: "SEND before CONNECT", steps: [send("/queue/$a")] },
  { name: "unknown command before CONNECT", steps: [raw("HELLO\n\n\0")] },
  { name: "heart-beat 0,0", steps: [login("1.2", { "heart-beat": "0,0" })] },
  { name: "heart-beat asked for", steps: [login("1.2", { "heart-beat": "10000,20000" })] },
  { name: "heart-beat in one direction", steps: [login("1.1", { "heart-beat": "30000,0" })] },
  { name: "heart-beat in 1.0", steps: [login("1.0", { "heart-beat": "10000,10000" })] },
  { name: "DISCONNECT with a receipt", steps: [login(), say("DISCONNECT", { receipt: "bye" })] },
  { name: "DISCONNECT without", steps: [login(), say("DISCONNECT")] },
];

const framing: Scenario[] = [
  { name: "CRLF in 1.2", steps: [login(), raw("SEND\r\ndestination:/queue/$a\r\nreceipt:r\r\n\r\nbody\0")] },
  {
    name: "CRLF in 1.1",
    steps: [login("1.1"), raw("SEND\r\ndestination:/queue/$a\r\nreceipt:r\r\n\r\nbody\0")],
  },
  {
    name: "newlines between frames",
    steps: [login(), raw("\n\n\r\n\n"), send("/queue/$a", "x", { receipt: "r" })],
  },
  {
    name: "two frames in one write",
    steps: [
      login(),
      raw(
        frame("BEGIN", { transaction: "a", receipt: "1" }) +
          frame("ABORT", { transaction: "a", receipt: "2" }),
      ),
    ],
  },
  { name: "unknown command", steps: [login(), raw("HELLO\nreceipt:r\n\n\0")] },
  { name: "header without a colon", steps: [login(), raw("SEND\nnonsense\n\n\0")] },
  { name: "unknown escape", steps: [login(), raw("SEND\ndestination:/queue/$a\nx:\\t\n\n\0")] },
  {
    name: "content-length with NUL in the body",
    steps: [
      login(),
      subscribe("/queue/$a"),
      raw("SEND\ndestination:/queue/$a\ncontent-length:5\n\na\0b\0c\0"),
    ],
  },
  {
    name: "content-length too short",
    steps: [login(), raw("SEND\ndestination:/queue/$a\ncontent-length:2\n\nabcd\0")],
  },
  {
    name: "content-length that is no number",
    steps: [login(), raw("SEND\ndestination:/queue/$a\ncontent-length:x\n\nabcd\0")],
  },
  {
    name: "a header twice: the first counts",
    steps: [login(), subscribe("/queue/$a"), raw("SEND\ndestination:/queue/$a\nx:1\nx:2\n\nb\0")],
  },
  ...["1.0", "1.1", "1.2"].map((version) => ({
    name: `escapes in ${version}`,
    steps: [
      login(version),
      subscribe("/queue/$a"),
      raw("SEND\ndestination:/queue/$a\nk\\cey:a\\cb\\\\c\\nd\n\nb\0"),
    ],
  })),
  {
    name: "a colon in a value, 1.1",
    steps: [login("1.1"), subscribe("/queue/$a"), raw("SEND\ndestination:/queue/$a\nx:a:b\n\nb\0")],
  },
  { name: "an empty value", steps: [login(), subscribe("/queue/$a"), send("/queue/$a", "b", { x: "" })] },
  {
    name: "spaces around a value",
    steps: [login(), subscribe("/queue/$a"), send("/queue/$a", "b", { x: "  y " })],
  },
  {
    name: "Unicode",
    steps: [login(), subscribe("/queue/$a"), send("/queue/$a", "日本 ü", { naïve: "日本" })],
  },
  { name: "an empty body", steps: [login(), subscribe("/queue/$a"), send("/queue/$a", "")] },
];

const destinations: Scenario[] = [
  ...[
    "/queue/$a",
    "/queue/$a.b",
    "/queue/$a%2Fb",
    "/topic/$a",
    "/topic/$a.b.c",
    "/exchange/amq.direct/$a",
    "/exchange/amq.fanout",
  ].map((destination) => ({
    name: `to and from ${destination}`,
    steps: [login(), subscribe(destination, { receipt: "r" }), send(destination, "body", { receipt: "s" })],
  })),
  ...["/topic/$a.*", "/topic/$a.#", "/topic/$a.#.c", "/exchange/amq.topic/$a.*"].map((pattern) => ({
    name: `pattern ${pattern}`,
    steps: [
      login(),
      subscribe(pattern, { receipt: "r" }),
      send("/topic/$a.b", "one"),
      send("/topic/$a.b.c", "two"),
      send("/topic/$a", "three", { receipt: "s" }),
    ],
  })),
  ...[
    "queue/$a",
    "/queue/$a/b",
    "/queue/",
    "/queue",
    "/topic/",
    "/nothing/$a",
    "/exchange/",
    "/exchange/$nowhere/k",
    "/exchange/a/b/c",
    "",
    "/amq/queue/",
    "/temp-queue/",
    "/amq/queue/$absent",
  ].flatMap((destination) => [
    { name: `SEND to '${destination}'`, steps: [login(), send(destination, "b", { receipt: "r" })] },
    { name: `SUBSCRIBE to '${destination}'`, steps: [login(), subscribe(destination, { receipt: "r" })] },
  ]),
  {
    name: "/amq/queue of a queue that is there",
    steps: [
      login(),
      send("/queue/$a", "one", { receipt: "r" }),
      subscribe("/amq/queue/$a"),
      send("/amq/queue/$a", "two"),
    ],
  },
  { name: "SEND without a destination", steps: [login(), say("SEND", { receipt: "r" })] },
  { name: "SUBSCRIBE without a destination", steps: [login(), say("SUBSCRIBE", { id: "s", receipt: "r" })] },
  {
    name: "SUBSCRIBE without an id, 1.1",
    steps: [login("1.1"), say("SUBSCRIBE", { destination: "/queue/$a" })],
  },
  {
    name: "SUBSCRIBE without an id, 1.0",
    steps: [login("1.0"), say("SUBSCRIBE", { destination: "/queue/$a" }), send("/queue/$a")],
  },
  {
    name: "UNSUBSCRIBE by destination, 1.0",
    steps: [
      login("1.0"),
      say("SUBSCRIBE", { destination: "/queue/$a" }),
      say("UNSUBSCRIBE", { destination: "/queue/$a", receipt: "u" }),
      send("/queue/$a", "x", { receipt: "s" }),
    ],
  },
  { name: "an id twice", steps: [login(), subscribe("/queue/$a"), subscribe("/queue/$b", { receipt: "r" })] },
  {
    name: "UNSUBSCRIBE",
    steps: [
      login(),
      subscribe("/queue/$a"),
      say("UNSUBSCRIBE", { id: "s", receipt: "u" }),
      send("/queue/$a", "kept", { receipt: "s" }),
      subscribe("/queue/$a", { id: "t" }),
    ],
  },
  {
    name: "UNSUBSCRIBE of an id that nobody has",
    steps: [login(), say("UNSUBSCRIBE", { id: "none", receipt: "u" })],
  },
  { name: "UNSUBSCRIBE without an id", steps: [login(), say("UNSUBSCRIBE", { receipt: "u" })] },
  {
    name: "waiting messages, in order",
    steps: [
      login(),
      send("/queue/$a", "1"),
      send("/queue/$a", "2"),
      send("/queue/$a", "3", { receipt: "r" }),
      subscribe("/queue/$a"),
    ],
  },
  {
    name: "queue arguments that differ",
    steps: [
      login(),
      subscribe("/queue/$a", { "x-max-length": "5", receipt: "1" }),
      subscribe("/queue/$a", { id: "t", "x-max-length": "6", receipt: "2" }),
    ],
  },
  {
    name: "x-message-ttl, x-expires and the like",
    steps: [
      login(),
      subscribe("/queue/$a", {
        "x-message-ttl": "60000",
        "x-expires": "60000",
        "x-max-priority": "5",
        receipt: "1",
      }),
      send("/queue/$a", "b", { priority: "3" }),
    ],
  },
  {
    name: "auto-delete and exclusive",
    steps: [
      login(),
      subscribe("/queue/$a", { "auto-delete": "true", durable: "false", receipt: "1" }),
      say("UNSUBSCRIBE", { id: "s", receipt: "2" }),
      subscribe("/amq/queue/$a", { id: "t", receipt: "3" }),
    ],
  },
  {
    name: "exclusive: not for others",
    steps: [
      login(),
      subscribe("/queue/$a", { exclusive: "true", "auto-delete": "true", durable: "false", receipt: "1" }),
      login("1.2", {}, 1),
      subscribe("/amq/queue/$a", { receipt: "2" }, 1),
    ],
  },
  {
    name: "x-queue-name for a topic",
    steps: [
      login(),
      subscribe("/topic/$a", { "x-queue-name": "$named", receipt: "1" }),
      send("/amq/queue/$named", "by name", { receipt: "2" }),
    ],
  },
];

const headers: Scenario[] = [
  {
    name: "properties",
    steps: [
      login(),
      subscribe("/queue/$a"),
      send("/queue/$a", "b", {
        "content-type": "text/plain",
        "content-encoding": "utf-8",
        "correlation-id": "c",
        priority: "4",
        persistent: "true",
        "amqp-message-id": "m",
        timestamp: "1700000000",
        type: "t",
        "app-id": "a",
        expiration: "60000",
      }),
    ],
  },
  {
    name: "reply-to of any kind",
    steps: [login(), subscribe("/queue/$a"), send("/queue/$a", "b", { "reply-to": "/queue/$b" })],
  },
  {
    name: "user-id that is the user's",
    steps: [login(), subscribe("/queue/$a"), send("/queue/$a", "b", { "user-id": "guest" })],
  },
  {
    name: "user-id of somebody else",
    steps: [login(), send("/queue/$a", "b", { "user-id": "other", receipt: "r" })],
  },
  {
    name: "message-id in SEND",
    steps: [login(), send("/queue/$a", "b", { "message-id": "m", receipt: "r" })],
  },
  {
    name: "headers of one's own",
    steps: [
      login(),
      subscribe("/queue/$a"),
      send("/queue/$a", "b", { one: "1", "x-two": "two", Three: "3" }),
    ],
  },
  {
    name: "priority that is no number",
    steps: [login(), send("/queue/$a", "b", { priority: "high", receipt: "r" })],
  },
  {
    name: "persistent:false",
    steps: [login(), subscribe("/queue/$a"), send("/queue/$a", "b", { persistent: "false" })],
  },
  {
    name: "a receipt for everything",
    steps: [
      login(),
      subscribe("/queue/$a", { receipt: "1" }),
      say("BEGIN", { transaction: "t", receipt: "2" }),
      send("/queue/$a", "b", { transaction: "t", receipt: "3" }),
      say("COMMIT", { transaction: "t", receipt: "4" }),
      say("UNSUBSCRIBE", { id: "s", receipt: "5" }),
    ],
  },
  {
    name: "a receipt with odd characters",
    steps: [login(), send("/queue/$a", "b", { receipt: "a\\cb\\\\" })],
  },
];

const SILENT = "RabbitMQ closes the connection and does not say why";
const PROCESSING = "RabbitMQ calls it a processing error";
const TOO_SOON = "RabbitMQ sends the receipt, and then the error";

/** Where the two go different ways on purpose, by the name of the scenario. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  "CONNECT twice": SILENT,
  "header without a colon": SILENT,
  "unknown escape": SILENT,
  "content-length too short": SILENT,
  "content-length that is no number": SILENT,
  "an empty body": "RabbitMQ leaves out a content-length of 0",
  "SUBSCRIBE without an id, 1.1": "the specification wants one; RabbitMQ does not",
  "SUBSCRIBE without an id, 1.0": "here the subscription has a name all the same, and messages say it",
  "a durable one without an id, 1.0": "here its destination is its name; RabbitMQ refuses it",
  "NACK to a dead-letter queue": "RabbitMQ 3.10 does not tell of the last death",
  "queue arguments that differ": "RabbitMQ does not look again at a queue that this connection has used",
  "persistent:false": "RabbitMQ leaves out what is the default; here headers come as they were sent",
  "a receipt for everything": "RabbitMQ does not answer for what is in a transaction",
  "ack of another kind": PROCESSING,
  "priority that is no number": PROCESSING,
  "prefetch-count that is no number": PROCESSING,
  "ACK twice": TOO_SOON,
  "ACK with auto": TOO_SOON,
  "BEGIN twice": "RabbitMQ forgets the first one",
};

const all: readonly Scenario[] = [
  ...loggingIn,
  ...framing,
  ...destinations,
  ...headers,
  ...acknowledging,
  ...transactions,
  ...lasting,
];

export const SCENARIOS: readonly Scenario[] = all.map((scenario) => {
  const differs = DIFFERENCES[scenario.name];
  return differs === undefined ? scenario : { ...scenario, differs };
});

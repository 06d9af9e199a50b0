// Conversations about acknowledging, transactions, and what outlives a connection.
import { cumulative, individual, login, type Scenario, say, send, subscribe } from "./stomp-steps.ts";

export const acknowledging: Scenario[] = [
  ...["1.0", "1.1", "1.2"].flatMap((version) =>
    ["auto", "client", "client-individual"].map((ack) => ({
      name: `MESSAGE with ack ${ack} in ${version}`,
      steps: [login(version), subscribe("/queue/$a", { ack }), send("/queue/$a")],
    })),
  ),
  {
    name: "ack of another kind",
    steps: [login(), subscribe("/queue/$a", { ack: "never", receipt: "r" }), send("/queue/$a")],
  },
  {
    name: "ACK of one; the rest comes back",
    steps: [
      login(),
      subscribe("/queue/$a", individual),
      send("/queue/$a", "1"),
      send("/queue/$a", "2"),
      send("/queue/$a", "3"),
      say("ACK", { id: "{ack 1}", receipt: "a" }),
      say("UNSUBSCRIBE", { id: "s", receipt: "u" }),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      subscribe("/queue/$a", {}, 1),
    ],
  },
  {
    name: "ACK of all up to one",
    steps: [
      login(),
      subscribe("/queue/$a", cumulative),
      send("/queue/$a", "1"),
      send("/queue/$a", "2"),
      send("/queue/$a", "3"),
      say("ACK", { id: "{ack 1}", receipt: "a" }),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      subscribe("/queue/$a", {}, 1),
    ],
  },
  {
    name: "ACK in 1.1 by message-id",
    steps: [
      login("1.1"),
      subscribe("/queue/$a", individual),
      send("/queue/$a", "1"),
      say("ACK", { "message-id": "{message-id 0}", subscription: "s", receipt: "a" }),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      subscribe("/queue/$a", { receipt: "r" }, 1),
    ],
  },
  {
    name: "ACK in 1.0 by message-id",
    steps: [
      login("1.0"),
      subscribe("/queue/$a", cumulative),
      send("/queue/$a", "1"),
      say("ACK", { "message-id": "{message-id 0}", receipt: "a" }),
    ],
  },
  {
    name: "NACK gives back",
    steps: [
      login(),
      subscribe("/queue/$a", { ...individual, "prefetch-count": "1" }),
      send("/queue/$a", "1"),
      say("NACK", { id: "{ack 0}", receipt: "n" }),
      say("ACK", { id: "{ack 1}", receipt: "a" }),
    ],
  },
  {
    name: "NACK drops with requeue:false",
    steps: [
      login(),
      subscribe("/queue/$a", individual),
      send("/queue/$a", "1"),
      say("NACK", { id: "{ack 0}", requeue: "false", receipt: "n" }),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      subscribe("/queue/$a", { receipt: "r" }, 1),
    ],
  },
  {
    name: "NACK in 1.0",
    steps: [
      login("1.0"),
      subscribe("/queue/$a", cumulative),
      send("/queue/$a", "1"),
      say("NACK", { "message-id": "{message-id 0}", receipt: "n" }),
    ],
  },
  {
    name: "NACK to a dead-letter queue",
    steps: [
      login(),
      subscribe("/queue/$dead", { id: "d" }),
      subscribe("/queue/$a", {
        ...individual,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "$dead",
      }),
      send("/queue/$a", "bad"),
      say("NACK", { id: "{ack 0}", requeue: "false", receipt: "n" }),
    ],
  },
  {
    name: "ACK of what nobody sent",
    steps: [login(), subscribe("/queue/$a", individual), say("ACK", { id: "none", receipt: "a" })],
  },
  {
    name: "ACK without an id",
    steps: [login(), subscribe("/queue/$a", individual), say("ACK", { receipt: "a" })],
  },
  {
    name: "ACK twice",
    steps: [
      login(),
      subscribe("/queue/$a", individual),
      send("/queue/$a"),
      say("ACK", { id: "{ack 0}", receipt: "a" }),
      say("ACK", { id: "{ack 0}", receipt: "b" }),
    ],
  },
  {
    name: "ACK with auto",
    steps: [
      login(),
      subscribe("/queue/$a"),
      send("/queue/$a"),
      say("ACK", { id: "{message-id 0}", receipt: "a" }),
    ],
  },
  {
    name: "prefetch-count 1",
    steps: [
      login(),
      subscribe("/queue/$a", { ...individual, "prefetch-count": "1" }),
      send("/queue/$a", "1"),
      send("/queue/$a", "2", { receipt: "r" }),
      say("ACK", { id: "{ack 0}", receipt: "a" }),
    ],
  },
  {
    name: "prefetch-count 2, cumulative",
    steps: [
      login(),
      subscribe("/queue/$a", { ...cumulative, "prefetch-count": "2" }),
      send("/queue/$a", "1"),
      send("/queue/$a", "2"),
      send("/queue/$a", "3"),
      send("/queue/$a", "4", { receipt: "r" }),
      say("ACK", { id: "{ack 1}", receipt: "a" }),
    ],
  },
  {
    name: "prefetch-count that is no number",
    steps: [login(), subscribe("/queue/$a", { ...individual, "prefetch-count": "x", receipt: "r" })],
  },
  {
    name: "redelivered after a client went",
    steps: [
      login(),
      subscribe("/queue/$a", individual),
      send("/queue/$a"),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      subscribe("/queue/$a", {}, 1),
    ],
  },
  {
    name: "two consumers take turns",
    steps: [
      login(),
      login("1.2", {}, 1),
      subscribe("/queue/$a", { receipt: "r" }),
      subscribe("/queue/$a", { receipt: "r" }, 1),
      send("/queue/$a", "1"),
      send("/queue/$a", "2"),
      send("/queue/$a", "3"),
      send("/queue/$a", "4"),
    ],
  },
];

export const transactions: Scenario[] = [
  {
    name: "COMMIT sends",
    steps: [
      login(),
      subscribe("/queue/$a"),
      say("BEGIN", { transaction: "t" }),
      send("/queue/$a", "1", { transaction: "t" }),
      send("/queue/$a", "2", { transaction: "t" }),
      send("/queue/$a", "outside", { receipt: "o" }),
      say("COMMIT", { transaction: "t", receipt: "c" }),
    ],
  },
  {
    name: "ABORT does not",
    steps: [
      login(),
      subscribe("/queue/$a"),
      say("BEGIN", { transaction: "t" }),
      send("/queue/$a", "1", { transaction: "t" }),
      say("ABORT", { transaction: "t", receipt: "c" }),
      send("/queue/$a", "2"),
    ],
  },
  {
    name: "leaving drops it",
    steps: [
      login(),
      say("BEGIN", { transaction: "t" }),
      send("/queue/$a", "1", { transaction: "t" }),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      subscribe("/queue/$a", { receipt: "r" }, 1),
    ],
  },
  {
    name: "ACK in a transaction that is committed",
    steps: [
      login(),
      subscribe("/queue/$a", individual),
      send("/queue/$a", "1"),
      say("BEGIN", { transaction: "t" }),
      say("ACK", { id: "{ack 0}", transaction: "t" }),
      say("COMMIT", { transaction: "t", receipt: "c" }),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      subscribe("/queue/$a", { receipt: "r" }, 1),
    ],
  },
  {
    name: "ACK in a transaction that is aborted",
    steps: [
      login(),
      subscribe("/queue/$a", individual),
      send("/queue/$a", "1"),
      say("BEGIN", { transaction: "t" }),
      say("ACK", { id: "{ack 0}", transaction: "t" }),
      say("ABORT", { transaction: "t", receipt: "c" }),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      subscribe("/queue/$a", { receipt: "r" }, 1),
    ],
  },
  {
    name: "two at once",
    steps: [
      login(),
      subscribe("/queue/$a"),
      say("BEGIN", { transaction: "t" }),
      say("BEGIN", { transaction: "u" }),
      send("/queue/$a", "t", { transaction: "t" }),
      send("/queue/$a", "u", { transaction: "u" }),
      say("COMMIT", { transaction: "u", receipt: "1" }),
      say("COMMIT", { transaction: "t", receipt: "2" }),
    ],
  },
  {
    name: "BEGIN twice",
    steps: [login(), say("BEGIN", { transaction: "t" }), say("BEGIN", { transaction: "t", receipt: "r" })],
  },
  ...["COMMIT", "ABORT"].flatMap((command) => [
    {
      name: `${command} of one that was not begun`,
      steps: [login(), say(command, { transaction: "t", receipt: "r" })],
    },
    { name: `${command} without a name`, steps: [login(), say(command, { receipt: "r" })] },
  ]),
  { name: "BEGIN without a name", steps: [login(), say("BEGIN", { receipt: "r" })] },
  {
    name: "SEND in one that was not begun",
    steps: [login(), send("/queue/$a", "b", { transaction: "t", receipt: "r" })],
  },
];

const durable = { durable: "true", "auto-delete": "false" };
export const lasting: Scenario[] = [
  {
    name: "a durable topic subscription gathers while its client is away",
    steps: [
      login(),
      subscribe("/topic/$a", { ...durable, id: "$d", receipt: "1" }),
      say("DISCONNECT", { receipt: "d" }),
      login("1.2", {}, 1),
      send("/topic/$a", "missed", { receipt: "s" }, 1),
      subscribe("/topic/$a", { ...durable, id: "$d" }, 1),
      say("UNSUBSCRIBE", { id: "$d", durable: "true", receipt: "u" }, 1),
    ],
  },
  {
    name: "UNSUBSCRIBE without durable keeps it",
    steps: [
      login(),
      subscribe("/topic/$a", { ...durable, id: "$d", receipt: "1" }),
      say("UNSUBSCRIBE", { id: "$d", receipt: "u" }),
      send("/topic/$a", "missed", { receipt: "s" }),
      subscribe("/topic/$a", { ...durable, id: "$d" }),
      say("UNSUBSCRIBE", { id: "$d", durable: "true", receipt: "v" }),
    ],
  },
  {
    name: "a durable one without an id, 1.0",
    steps: [login("1.0"), say("SUBSCRIBE", { destination: "/topic/$a", ...durable, receipt: "r" })],
  },
  {
    name: "an ordinary topic subscription misses what comes meanwhile",
    steps: [
      login(),
      subscribe("/topic/$a", { receipt: "1" }),
      say("UNSUBSCRIBE", { id: "s", receipt: "u" }),
      send("/topic/$a", "missed", { receipt: "s" }),
      subscribe("/topic/$a", { receipt: "2" }),
    ],
  },
  {
    name: "a reply through a temporary queue",
    steps: [
      login(),
      login("1.2", {}, 1),
      subscribe("/queue/$service", {}, 1),
      send("/queue/$service", "ask", { "reply-to": "/temp-queue/mine" }),
      [1, "SEND\ndestination:{reply-to 0}\n\nanswer\0"],
    ],
  },
  {
    name: "one temporary queue for two requests",
    steps: [
      login(),
      login("1.2", {}, 1),
      subscribe("/queue/$service", {}, 1),
      send("/queue/$service", "1", { "reply-to": "/temp-queue/mine" }),
      send("/queue/$service", "2", { "reply-to": "/temp-queue/mine" }),
      [1, "SEND\ndestination:{reply-to 1}\n\nanswer\0"],
    ],
  },
  { name: "SEND to a temporary queue", steps: [login(), send("/temp-queue/mine", "x", { receipt: "r" })] },
  {
    name: "SEND to a reply queue that is gone",
    steps: [login(), send("/reply-queue/$gone", "x", { receipt: "r" })],
  },
];

import { StompClient, type StompFrame } from "../../support/stomp-client.ts";
import { Answers, type Peer } from "../peer.ts";

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c" };
const escaped = (text: string) => text.replace(/[\\\n\r:]/g, (octet) => ESCAPES[octet] as string);
const unescaped = (text: string) =>
  text.replace(/\\(.)/g, (_, letter: string) => ({ n: "\n", r: "\r", c: ":" })[letter] ?? letter);

/** STOMP 1.2. */
export async function stompPeer(url: string): Promise<Peer> {
  const [client, serving] = [await StompClient.connect(url), await StompClient.connect(url)];
  const answers = new Answers();
  const services = new Map<string, (body: string) => string>();
  const receipts = new Map<string, () => void>();
  const reading = Promise.all([
    each(client, ({ headers, body }) => {
      const correlationId = unescaped(headers["correlation-id"] as string);
      answers.arrived({ body: body.toString(), correlationId });
    }),
    each(serving, ({ command, headers, body }) => {
      if (command === "RECEIPT") receipts.get(headers["receipt-id"] as string)?.();
      if (command !== "MESSAGE") return;
      const answer = services.get(headers.subscription as string) as (body: string) => string;
      // Both go back as they came, escapes and all.
      const copied = { destination: headers["reply-to"] as string };
      serving.send(
        "SEND",
        { ...copied, "correlation-id": headers["correlation-id"] as string },
        answer(`${body}`),
      );
    }),
  ]);
  return {
    name: "STOMP",
    ways: {
      "a temporary queue": (address, { body, correlationId }) => {
        const answer = answers.wait(correlationId);
        const headers = { "reply-to": "/temp-queue/answers", "correlation-id": escaped(correlationId) };
        client.send("SEND", { destination: `/topic/${address}`, ...headers }, body);
        return answer;
      },
    },
    async serve(address, answer) {
      services.set(address, answer);
      const subscribed = new Promise<void>((resolve) => receipts.set(address, resolve));
      serving.send("SUBSCRIBE", { id: address, destination: `/topic/${address}`, receipt: address });
      await subscribed;
    },
    async close() {
      client.destroy();
      serving.destroy();
      await reading;
    },
  };
}

async function each(client: StompClient, take: (frame: StompFrame) => void): Promise<void> {
  try {
    for (;;) take(await client.next());
  } catch {
    // The connection has ended, and so does this.
  }
}

// Whatever a client begins with: it gets a protocol or is closed, and nobody else notices.
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { parseProxyHeader } from "./proxy-header.ts";
import { type Recognition, recogniseText } from "./recognition.ts";
import { recognisesHttp, recognisesTls } from "./shared-entrance.ts";
import { Client, closeAll, listen, Words } from "./testing/echo.ts";
import { proxyHeader } from "./testing/proxy.ts";

afterEach(closeAll);

const BEGINNINGS = [
  proxyHeader({ body: "cb007107c0000201d4311628" }),
  proxyHeader({ family: 0x21, body: "00".repeat(36) }),
  Buffer.from("PROXY TCP4 203.0.113.7 192.0.2.1 54321 5672\r\n"),
  Buffer.from("GET /words HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
  Buffer.from("1603010200010001fc0303", "hex"),
  Buffer.from("WORDS|"),
];

/** One of them, with some bytes changed, cut off or doubled. */
const mutated = fc
  .tuple(
    fc.constantFrom(...BEGINNINGS),
    fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
    fc.nat(120),
    fc.uint8Array({ maxLength: 40 }),
  )
  .map(([bytes, changes, length, tail]) => {
    const changed = Buffer.from(bytes);
    for (const [at, value] of changes) if (at < changed.length) changed[at] = value;
    return Buffer.concat([changed.subarray(0, length), tail]);
  });

test("a header of the PROXY protocol is read, wanted whole, or refused", () => {
  fc.assert(
    fc.property(mutated, (bytes) => {
      try {
        const header = parseProxyHeader(bytes);
        if (header !== "more") expect(header.length).toBeLessThanOrEqual(bytes.length);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
    { numRuns: 20_000 },
  );
});

test("more bytes do not change what has been recognised", () => {
  const recognisers = [
    recognisesHttp,
    recognisesTls,
    (first: Uint8Array) => recogniseText(first, ["WORDS", "WORK"]),
  ];
  fc.assert(
    fc.property(mutated, fc.constantFrom(...recognisers), (bytes, recognises) => {
      let decided: Recognition = "more";
      for (let count = 1; count <= bytes.length; count++) {
        const answer = recognises(bytes.subarray(0, count));
        if (decided !== "more") expect(answer).toBe(decided);
        decided = answer;
      }
    }),
    { numRuns: 2000 },
  );
});

test("a listener that takes everything survives everything", async () => {
  const budget = { open: 0, max: 1000 };
  const words = { acceptor: new Words(), recognises: (first: Uint8Array) => recogniseText(first, ["WORDS"]) };
  const webSocket = { paths: ["/words"], subprotocols: [], text: true };
  for (const proxies of [undefined, null]) {
    const listener = await listen(
      {
        kind: "shared",
        protocols: [{ ...words, webSocket }],
        webSocket: { origins: null, messageBytesMax: 1000 },
        tls: {},
        ...(proxies === null && { proxies }),
      },
      { budget },
    );
    for (const bytes of fc.sample(mutated, { numRuns: 150, seed: 7 })) new Client(listener).socket.end(bytes);
    const good = new Client(listener);
    if (proxies === null) good.socket.write(BEGINNINGS[0]!);
    await good.says("WORDS|");
    good.socket.end();
    while (budget.open > 0) await new Promise(setImmediate);
  }
});

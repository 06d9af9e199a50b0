import { describe, expect, test } from "vitest";
import { parseProxyHeader } from "./proxy-header.ts";
import { proxyHeader } from "./testing/proxy.ts";

const IPV4 = proxyHeader({ family: 0x11, body: "cb007107c0000201" + "d431" + "1628" });

describe("version 2", () => {
  test("IPv4: who the client is and whom it asked for; what follows is not part of it", () => {
    expect(parseProxyHeader(Buffer.concat([IPV4, Buffer.from("AMQP")]))).toEqual({
      length: 28,
      local: false,
      ends: { remoteAddress: "203.0.113.7", remotePort: 54_321, localAddress: "192.0.2.1", localPort: 5672 },
    });
  });

  test("IPv6, written short", () => {
    const body = "20010db8000000000000000000000001" + "00000000000000000000000000000001" + "d4311628";
    expect(parseProxyHeader(proxyHeader({ family: 0x21, body }))).toMatchObject({
      ends: { remoteAddress: "2001:db8::1", localAddress: "::1", remotePort: 54_321, localPort: 5672 },
    });
  });

  test("what else the proxy adds is skipped", () => {
    const header = proxyHeader({ family: 0x11, body: `cb007107c0000201d4311628${"0500050102030405"}` });
    expect(parseProxyHeader(header)).toMatchObject({ length: 36, ends: { remoteAddress: "203.0.113.7" } });
  });

  test("a check of the proxy's own, and a client without an address", () => {
    expect(parseProxyHeader(proxyHeader({ command: 0x20, family: 0, body: "" }))).toEqual({
      length: 16,
      local: true,
      ends: null,
    });
    expect(parseProxyHeader(proxyHeader({ family: 0, body: "" }))).toMatchObject({
      local: false,
      ends: null,
    });
    expect(parseProxyHeader(proxyHeader({ family: 0x31, body: "00".repeat(216) }))).toMatchObject({
      ends: null,
    });
  });

  test("byte by byte it asks for more until it is whole", () => {
    for (let count = 1; count < IPV4.length; count++)
      expect(parseProxyHeader(IPV4.subarray(0, count))).toBe("more");
  });

  test.each([
    ["another version", proxyHeader({ command: 0x31 }), "version 3"],
    ["another command", proxyHeader({ command: 0x22 }), "command 2"],
    ["too few bytes for its addresses", proxyHeader({ family: 0x11, body: "cb007107" }), "without addresses"],
    [
      "a length beyond reason",
      proxyHeader({ family: 0x11, body: "00".repeat(5000) }).subarray(0, 16),
      "5000 bytes",
    ],
    ["no header", Buffer.from("AMQP\0\0\x09\x01"), "no PROXY"],
  ])("%s is refused", (_name, bytes, reason) => expect(() => parseProxyHeader(bytes)).toThrow(reason));
});

describe("version 1", () => {
  test("is read too", () => {
    const line = "PROXY TCP4 203.0.113.7 192.0.2.1 54321 5672\r\n";
    expect(parseProxyHeader(Buffer.from(`${line}AMQP`))).toEqual({
      length: line.length,
      local: false,
      ends: { remoteAddress: "203.0.113.7", remotePort: 54_321, localAddress: "192.0.2.1", localPort: 5672 },
    });
    expect(parseProxyHeader(Buffer.from("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"))).toMatchObject({
      ends: { remoteAddress: "2001:db8::1", localPort: 2 },
    });
    expect(parseProxyHeader(Buffer.from("PROXY UNKNOWN\r\n"))).toEqual({
      length: 15,
      local: false,
      ends: null,
    });
    expect(parseProxyHeader(Buffer.from("PROXY TC"))).toBe("more");
  });

  test.each([
    "PROXY TCP4 ::1 ::1 1 2\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.1 1 99999\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.1 1\r\n",
    "PROXY UDP4 192.0.2.1 192.0.2.1 1 2\r\n",
    `PROXY ${"x".repeat(120)}`,
  ])("%j is refused", (line) => expect(() => parseProxyHeader(Buffer.from(line))).toThrow(RangeError));
});

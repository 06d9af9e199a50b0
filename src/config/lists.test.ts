import { expect, test } from "vitest";
import { LISTENER_NAMES, NETWORKS, ORIGINS } from "./lists.ts";

test("listeners are all, none or named", () => {
  expect(["on", "off", "amqp, mqtts"].map(LISTENER_NAMES.parse)).toEqual(["all", [], ["amqp", "mqtts"]]);
  expect(
    ["on", "off", "amqp,mqtts"].map((text) => LISTENER_NAMES.format(LISTENER_NAMES.parse(text))),
  ).toEqual(["on", "off", "amqp, mqtts"]);
  expect(() => LISTENER_NAMES.parse("amqp,,")).toThrow("is no list");
});

test("networks hold their addresses and no others", () => {
  const list = NETWORKS.parse("10.0.0.0/8, 192.0.2.1, fd00::/8")!.list;
  expect(
    ["10.9.8.7", "192.0.2.1", "11.0.0.1", "192.0.2.2"].map((address) => list.check(address, "ipv4")),
  ).toEqual([true, true, false, false]);
  expect(["fd12::1", "fe80::1"].map((address) => list.check(address, "ipv6"))).toEqual([true, false]);
  expect(NETWORKS.parse("any")).toBeNull();
  expect(NETWORKS.format(NETWORKS.parse("10.0.0.0/8,::1"))).toBe("10.0.0.0/8, ::1");
});

test.each(["", "10.0.0.0/33", "10.0.0.0/8/8", "10.0.0.0/x", "proxy.example", "::1/129"])(
  "'%s' is no network",
  (text) => {
    expect(() => NETWORKS.parse(text)).toThrow(RangeError);
  },
);

test("origins are compared as browsers write them", () => {
  expect(ORIGINS.parse("https://Chat.example:443/, http://localhost:8080")).toEqual([
    "https://chat.example",
    "http://localhost:8080",
  ]);
  expect(ORIGINS.parse("any")).toBeNull();
  for (const text of ["chat.example", "ftp://chat.example", ""])
    expect(() => ORIGINS.parse(text)).toThrow("is no");
});

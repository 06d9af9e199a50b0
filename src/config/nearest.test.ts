import { describe, expect, test } from "vitest";
import { editDistance, nearest } from "./nearest.ts";

describe("editDistance", () => {
  test.each([
    ["", "", 0],
    ["port", "port", 0],
    ["prot", "port", 1],
    ["host", "hosts", 1],
    ["kitten", "sitting", 3],
    ["", "abc", 3],
  ])("%s and %s are %i apart", (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe("nearest", () => {
  const names = ["amqp-port", "amqps-port", "http-port", "host"];

  test("forgives how words are joined", () => {
    expect(nearest("amqpPort", names)).toBe("amqp-port");
    expect(nearest("HTTP_PORT", names)).toBe("http-port");
  });

  test("finds a slip of the fingers", () => {
    expect(nearest("amqp-prot", names)).toBe("amqp-port");
    expect(nearest("hsot", names)).toBe("host");
  });

  test("says nothing rather than something far-fetched", () => {
    expect(nearest("quorum", names)).toBeUndefined();
  });
});

import type { Socket } from "node:net";
import type { Arrival, Entrance } from "./entrance.ts";
import { readFirstBytes } from "./first-bytes.ts";
import { type Recognition, recogniseText } from "./recognition.ts";

/** No protocol needs more to be told apart. */
const FIRST_BYTES_MAX = 64;
const TLS_HANDSHAKE = 0x16;
const HTTP_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"].map((name) => `${name} `);

export interface Choice {
  /** Whether a connection that begins with `first`, at least one byte, is meant for it. */
  recognises(first: Uint8Array): Recognition;
  readonly entrance: Entrance;
}

/** Tells by the first bytes what a client speaks. */
export class SharedEntrance implements Entrance {
  private readonly choices: readonly Choice[];

  constructor(choices: readonly Choice[]) {
    this.choices = choices;
  }

  admit(socket: Socket, arrival: Arrival): void {
    let chosen: Entrance | undefined;
    const judge = (bytes: Buffer): { consumed: number } | "more" => {
      const found = choose(this.choices, bytes);
      if (found === "more") return "more";
      if (found === null)
        arrival.refuse(socket, `it speaks nothing known: ${bytes.subarray(0, 16).toString("hex")}`);
      chosen = found ?? undefined;
      return { consumed: 0 };
    };
    readFirstBytes(socket, judge, () => chosen?.admit(socket, arrival));
  }
}

/** @returns null when nobody knows what it is */
function choose(choices: readonly Choice[], bytes: Buffer): Entrance | "more" | null {
  let undecided = false;
  for (const { recognises, entrance } of choices) {
    const answer = recognises(bytes);
    if (answer === "yes") return entrance;
    if (answer === "more") undecided = true;
  }
  return undecided && bytes.length < FIRST_BYTES_MAX ? "more" : null;
}

/** A TLS record with a handshake in it (RFC 8446 section 5.1). */
export function recognisesTls(first: Uint8Array): Recognition {
  if (first[0] !== TLS_HANDSHAKE) return "no";
  return first.length < 2 ? "more" : first[1] === 3 ? "yes" : "no";
}

export function recognisesHttp(first: Uint8Array): Recognition {
  return recogniseText(first, HTTP_METHODS);
}

// Seeded spoiling of valid conversations. Input n of a seed is always the same bytes.
import { type Random, randomFrom } from "../support/random.ts";
import { HANDSHAKE, type Piece, STORIES } from "./corpus.ts";

const below = (random: Random, limit: number) => Math.floor(random() * limit);
const oneOf = <T>(random: Random, items: T[]): T => items[below(random, items.length)]!;

const NASTY_SIZES = [
  0, 1, 7, 8, 255, 256, 4096, 131_064, 131_065, 131_072, 0x7fffffff, 0x80000000, 0xffffffff,
];
const NASTY_BYTES = [
  0,
  1,
  0x7f,
  0x80,
  0xce,
  0xff,
  ..."tbBsuIilLfdDSATFVx".split("").map((c) => c.charCodeAt(0)),
];
const HEAD = 7;

type Mutation = (pieces: Piece[], at: number, random: Random) => void;

function copyOf(pieces: Piece[], at: number): Buffer {
  const bytes = Buffer.from(pieces[at]!.bytes);
  pieces[at] = { ...pieces[at]!, bytes };
  return bytes;
}

/** A position whose value may be changed; undefined when the piece has none. */
function freePosition(piece: Piece, random: Random): number | undefined {
  const room = piece.bytes.length - piece.fixed;
  return room > 0 ? piece.fixed + below(random, room) : undefined;
}

const changeValue =
  (change: (bytes: Buffer, position: number, random: Random) => void): Mutation =>
  (pieces, at, random) => {
    const position = freePosition(pieces[at]!, random);
    if (position !== undefined) change(copyOf(pieces, at), position, random);
  };

const flipBit = changeValue((bytes, position, random) => {
  bytes[position]! ^= 1 << below(random, 8);
});
const nastyByte = changeValue((bytes, position, random) => {
  bytes[position] = oneOf(random, NASTY_BYTES);
});
const nastyLength = changeValue((bytes, position, random) => {
  if (position + 4 <= bytes.length) bytes.writeUInt32BE(oneOf(random, NASTY_SIZES), position);
});
const frameSize: Mutation = (pieces, at, random) => {
  if (pieces[at]!.bytes.length > HEAD) copyOf(pieces, at).writeUInt32BE(oneOf(random, NASTY_SIZES), 3);
};
const frameType: Mutation = (pieces, at, random) => {
  copyOf(pieces, at)[0] = oneOf(random, [0, 1, 2, 3, 4, 8, 65, 255]);
};
const frameChannel: Mutation = (pieces, at, random) => {
  if (pieces[at]!.bytes.length > HEAD) {
    copyOf(pieces, at).writeUInt16BE(oneOf(random, [0, 1, 2, 3, 2047, 2048, 65_535]), 1);
  }
};
const frameEnd: Mutation = (pieces, at, random) => {
  const bytes = copyOf(pieces, at);
  bytes[bytes.length - 1] = below(random, 256);
};
const cut: Mutation = (pieces, at, random) => {
  const { bytes } = pieces[at]!;
  // Declarations stay whole or lose everything from here on, so that none survives half spoilt.
  pieces[at] = { bytes: bytes.subarray(0, below(random, bytes.length)), fixed: 0 };
  if (random() < 0.5) pieces.length = at + 1;
};
const drop: Mutation = (pieces, at) => void pieces.splice(at, 1);
const repeat: Mutation = (pieces, at, random) => {
  const copies = new Array(1 + below(random, 20)).fill(pieces[at]);
  pieces.splice(at, 0, ...copies);
};
const swap: Mutation = (pieces, at, random) => {
  const other = below(random, pieces.length);
  [pieces[at], pieces[other]] = [pieces[other]!, pieces[at]!];
};
const noise: Mutation = (pieces, at, random) => {
  const bytes = Buffer.from([...Array(1 + below(random, 64))].map(() => below(random, 256)));
  pieces.splice(at, 0, { bytes, fixed: 0 });
};
const foreign: Mutation = (pieces, at, random) => {
  pieces.splice(at, 0, oneOf(random, oneOf(random, [HANDSHAKE, ...STORIES])));
};

const MUTATIONS: Mutation[] = [
  flipBit,
  flipBit,
  nastyByte,
  nastyByte,
  nastyLength,
  nastyLength,
  frameSize,
  frameType,
  frameChannel,
  frameEnd,
  cut,
  drop,
  repeat,
  swap,
  noise,
  foreign,
];

/** The chunks of one spoilt conversation, in the order and the portions to write them. */
export function input(seed: number, index: number): Buffer[] {
  const random = randomFrom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const story = oneOf(random, STORIES);
  // One in four spoils the handshake itself; the others get in first.
  const pieces = random() < 0.25 ? [...HANDSHAKE, ...story] : [...story];
  const prologue = pieces.length === story.length ? HANDSHAKE.map(({ bytes }) => bytes) : [];
  for (let i = 1 + below(random, 3); i > 0; i--) {
    if (pieces.length > 0) oneOf(random, MUTATIONS)(pieces, below(random, pieces.length), random);
  }
  return portions(Buffer.concat([...prologue, ...pieces.map(({ bytes }) => bytes)]), random);
}

/** Usually one write; now and then cut at odd places, as the network does. */
function portions(bytes: Buffer, random: Random): Buffer[] {
  if (random() < 0.7) return [bytes];
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + below(random, random() < 0.5 ? 10 : 500);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

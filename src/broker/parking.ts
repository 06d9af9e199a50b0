import type { QueueDeclaration } from "./types.ts";

/** Where a message rests that has used up its attempts and has no dead-letter target: never dropped in silence. */
export const PARKING_LOT = "polymq.parking-lot";

export function parkingLotDeclaration(): QueueDeclaration {
  return {
    name: PARKING_LOT,
    durable: true,
    exclusive: false,
    autoDelete: false,
    options: {},
    arguments: new Map(),
  };
}

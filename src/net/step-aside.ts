import type { Transport } from "./transport.ts";

const TURNS = 3;

/**
 * A publisher leaves consumers the next turns of the event loop. A flood that nothing holds back otherwise (no
 * confirms, nothing to store) would take all turns, and what waits in memory would have to go over the disk.
 */
export function stepAside(transport: Pick<Transport, "pauseReading" | "resumeReading">): void {
  transport.pauseReading();
  const wait = (turns: number): void => {
    setImmediate(() => (turns > 1 ? wait(turns - 1) : transport.resumeReading()));
  };
  wait(TURNS);
}

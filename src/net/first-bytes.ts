import type { Socket } from "node:net";

/** What the first bytes say: how many of them are used up, "more" when they are too few to tell. */
type Verdict = { readonly consumed: number } | "more";

/**
 * Shows `judge` what a socket says first, until it can tell. What it does not consume is put back: whoever
 * has the socket next sees it as the first bytes. `judge` may destroy the socket instead.
 */
export function readFirstBytes(socket: Socket, judge: (bytes: Buffer) => Verdict, next: () => void): void {
  let seen: Buffer | null = null;
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    seen = seen === null ? chunk : Buffer.concat([seen, chunk]);
    const verdict = judge(seen);
    if (verdict === "more" || socket.destroyed) return;
    socket.removeListener("readable", look);
    socket.removeListener("end", hangUp);
    if (verdict.consumed < seen.length) socket.unshift(seen.subarray(verdict.consumed));
    next();
  };
  const hangUp = (): void => {
    socket.destroy();
  };
  socket.on("readable", look);
  socket.on("end", hangUp);
}

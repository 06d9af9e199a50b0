/** "more": too few bytes to tell. */
export type Recognition = "yes" | "no" | "more";

/** Whether what a client says first begins with one of `texts` (ASCII). */
export function recogniseText(first: Uint8Array, texts: readonly string[]): Recognition {
  const length = Math.max(...texts.map((text) => text.length));
  const said = Buffer.from(first.subarray(0, length)).toString("latin1");
  if (texts.some((text) => said.startsWith(text))) return "yes";
  return texts.some((text) => text.startsWith(said)) ? "more" : "no";
}

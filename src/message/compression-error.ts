/** Compressed bytes are damaged, too many, or of a kind that is not known here. */
export class CompressionError extends Error {
  override readonly name = "CompressionError";
}

/**
 * Bytes [start, end) in memory of their own. `bytes.slice()` is that for a Uint8Array alone: a Buffer, which is one as
 * far as the compiler can tell, has another `slice`, which is a view.
 */
export function copyBytes(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}

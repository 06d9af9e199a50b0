/** One file of a log. */
import path from "node:path";

const SUFFIX = ".seg";
const DIGITS = 16;

export class Segment {
  /** Log position of the file's first byte. */
  readonly base: number;
  readonly path: string;
  /** Length of the file, preallocated rest included. */
  fileBytes: number;
  /** Whether the file exists under its name. */
  exists: boolean;
  /** Set while it is being brought into being. */
  preparing: Promise<void> | null = null;

  constructor(directory: string, base: number, fileBytes: number, exists: boolean) {
    this.base = base;
    this.path = path.join(directory, base.toString(16).padStart(DIGITS, "0") + SUFFIX);
    this.fileBytes = fileBytes;
    this.exists = exists;
  }
}

/** The base position in a segment's file name, or null for another file. */
export function segmentBaseOf(name: string): number | null {
  if (name.length !== DIGITS + SUFFIX.length || !name.endsWith(SUFFIX)) return null;
  const base = Number.parseInt(name.slice(0, DIGITS), 16);
  return Number.isSafeInteger(base) && base.toString(16).padStart(DIGITS, "0") + SUFFIX === name
    ? base
    : null;
}

/** Index of the segment that holds a position, or -1; `segments` ascend by base. */
export function segmentIndexOf(segments: readonly Segment[], position: number): number {
  let low = 0;
  let high = segments.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    if (segments[middle].base <= position) low = middle + 1;
    else high = middle - 1;
  }
  return high;
}

/**
 * STOMP frames (https://stomp.github.io/stomp-specification-1.2.html, "Frames and Headers"):
 *
 *     command EOL *( header-name ":" header-value EOL ) EOL *octet NUL
 *
 * EOL is LF, or CR LF. Between frames there may be any number of EOLs: heart-beats.
 */
export type Version = 0 | 1 | 2; // 1.0, 1.1, 1.2
export const VERSION_NAMES = ["1.0", "1.1", "1.2"] as const;

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** More bytes are needed. */
export const INCOMPLETE = -1;

/** Bounds of what a client may send; see `Limits`. */
export interface FrameLimits {
  readonly headersMax: number;
  readonly headerBytesMax: number;
  readonly bodyBytesMax: number;
}

/** The bytes are no frame, or more than is allowed. `header` is the ERROR frame's message header. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** One frame in place. One instance is filled again and again; valid until the next `read`. */
export class Frame {
  bytes: Uint8Array = new Uint8Array(0);
  command = "";
  /** For each header: start and end of the name, start and end of the value. */
  private offsets = new Int32Array(4 * 32);
  headerCount = 0;
  bodyAt = 0;
  bodyEnd = 0;
  /** The frame had a content-length header. */
  sized = false;

  nameAt(index: number): number {
    return this.offsets[index * 4] as number;
  }

  nameEnd(index: number): number {
    return this.offsets[index * 4 + 1] as number;
  }

  valueAt(index: number): number {
    return this.offsets[index * 4 + 2] as number;
  }

  valueEnd(index: number): number {
    return this.offsets[index * 4 + 3] as number;
  }

  /**
   * Reads the frame that begins at `start` (EOLs before it are skipped by the caller).
   * @returns the offset behind its NUL, or INCOMPLETE
   * @throws FrameError
   */
  read(bytes: Uint8Array, start: number, end: number, limits: FrameLimits): number {
    let lineEnd = endOfLine(bytes, start, end);
    if (lineEnd < 0) return this.unfinished(end - start, limits);
    this.bytes = bytes;
    this.command = text(bytes, start, withoutCr(bytes, start, lineEnd));
    this.headerCount = 0;
    let at = lineEnd + 1;
    for (;;) {
      lineEnd = endOfLine(bytes, at, end);
      if (lineEnd < 0) return this.unfinished(end - start, limits);
      const stop = withoutCr(bytes, at, lineEnd);
      if (stop === at) break;
      this.header(bytes, at, stop, limits);
      at = lineEnd + 1;
      if (at - start > limits.headerBytesMax) throw new FrameError("headers too large");
    }
    return this.body(bytes, lineEnd + 1, end, limits);
  }

  private unfinished(bytes: number, limits: FrameLimits): number {
    if (bytes > limits.headerBytesMax) throw new FrameError("headers too large");
    return INCOMPLETE;
  }

  private header(bytes: Uint8Array, at: number, end: number, limits: FrameLimits): void {
    const index = this.headerCount;
    if (index >= limits.headersMax) throw new FrameError("too many headers");
    const colon = indexOfOctet(bytes, COLON, at, end);
    if (colon <= at) throw new FrameError("malformed header");
    if (index * 4 >= this.offsets.length) {
      const grown = new Int32Array(this.offsets.length * 2);
      grown.set(this.offsets);
      this.offsets = grown;
    }
    this.offsets[index * 4] = at;
    this.offsets[index * 4 + 1] = colon;
    this.offsets[index * 4 + 2] = colon + 1;
    this.offsets[index * 4 + 3] = end;
    this.headerCount = index + 1;
  }

  private body(bytes: Uint8Array, at: number, end: number, limits: FrameLimits): number {
    const length = this.contentLength();
    this.bodyAt = at;
    this.sized = length >= 0;
    if (length > limits.bodyBytesMax) throw new FrameError("body too large");
    if (length >= 0) {
      this.bodyEnd = at + length;
      if (this.bodyEnd >= end) return INCOMPLETE;
      if (bytes[this.bodyEnd] !== 0) throw new FrameError("no NUL behind the body");
      return this.bodyEnd + 1;
    }
    const nul = indexOfOctet(bytes, 0, at, end);
    if (nul < 0) {
      if (end - at > limits.bodyBytesMax) throw new FrameError("body too large");
      return INCOMPLETE;
    }
    this.bodyEnd = nul;
    return nul + 1;
  }

  private contentLength(): number {
    const index = this.find("content-length");
    if (index < 0) return -1;
    const value = text(this.bytes, this.valueAt(index), this.valueEnd(index)).trim();
    if (!/^\d{1,15}$/.test(value)) throw new FrameError("malformed content-length");
    return Number(value);
  }

  /** Index of the first header with this name (of ASCII characters), or -1: the first of several counts. */
  find(name: string): number {
    const length = name.length;
    for (let i = 0; i < this.headerCount; i++) if (this.isNamed(i, name, length)) return i;
    return -1;
  }

  isNamed(index: number, name: string, length = name.length): boolean {
    const at = this.offsets[index * 4] as number;
    if ((this.offsets[index * 4 + 1] as number) - at !== length) return false;
    for (let i = length - 1; i >= 0; i--) if (this.bytes[at + i] !== name.charCodeAt(i)) return false;
    return true;
  }

  /** @throws FrameError for an escape that the version does not define */
  get(name: string, version: Version): string | undefined {
    const index = this.find(name);
    return index < 0 ? undefined : this.value(index, version);
  }

  value(index: number, version: Version): string {
    let at = this.valueAt(index);
    // 1.0 clients write "name: value", and mean the value without the space.
    if (version === 0) while (this.bytes[at] === SPACE && at < this.valueEnd(index)) at++;
    return decodeValue(this.bytes, at, this.valueEnd(index), version);
  }

  headerName(index: number, version: Version): string {
    return decodeValue(this.bytes, this.nameAt(index), this.nameEnd(index), version);
  }
}

/** Up to here a loop is faster than the call. */
const LOOP_OCTETS = 48;

/** First `octet` in [start, end), or -1. Never looks behind `end`: `bytes` may be a gigabyte. */
export function indexOfOctet(bytes: Uint8Array, octet: number, start: number, end: number): number {
  const near = Math.min(end, start + LOOP_OCTETS);
  for (let i = start; i < near; i++) if (bytes[i] === octet) return i;
  if (near === end) return -1;
  const found = bytes.subarray(near, end).indexOf(octet);
  return found < 0 ? -1 : near + found;
}

/**
 * Where the line at `start` ends, or -1. The grammar would let a header have a NUL in it; a client that takes any NUL
 * for the end of a frame would be told another frame by it. @throws FrameError
 */
function endOfLine(bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const octet = bytes[i] as number;
    if (octet > LF) continue;
    if (octet === LF) return i;
    if (octet === 0) throw new FrameError("a NUL before the body");
  }
  return -1;
}

function withoutCr(bytes: Uint8Array, start: number, lineEnd: number): number {
  return lineEnd > start && bytes[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
}

function text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
}

/** Header octets as text: 1.0 knows no escapes, 1.1 has \n \c \\, 1.2 \r too. @throws FrameError */
export function decodeValue(bytes: Uint8Array, start: number, end: number, version: Version): string {
  const raw = text(bytes, start, end);
  if (version === 0) return raw;
  if (indexOfOctet(bytes, BACKSLASH, start, end) < 0) return raw;
  return raw.replace(/\\(.|$)/gs, (sequence, letter: string) => {
    if (letter === "n") return "\n";
    if (letter === "c") return ":";
    if (letter === "\\") return "\\";
    if (letter === "r" && version === 2) return "\r";
    throw new FrameError(`undefined escape sequence ${JSON.stringify(sequence)}`);
  });
}

/** The reverse. What a version cannot say in a header (a line end, in 1.0 and, of CR, 1.1) becomes a space. */
export function encodeValue(value: string, version: Version): string {
  if (!/[\\\n\r:]/.test(value)) return value;
  if (version === 0) return value.replace(/[\r\n]/g, " ");
  return value.replace(/[\\\n\r:]/g, (character) => {
    if (character === "\n") return "\\n";
    if (character === ":") return "\\c";
    if (character === "\r") return version === 2 ? "\\r" : " ";
    return "\\\\";
  });
}

/** A growing buffer that frames are written into. */
export class FrameWriter {
  buffer = Buffer.allocUnsafe(1024);
  length = 0;

  begin(command: string): void {
    this.length = 0;
    if (this.buffer.length > 65_536) this.buffer = Buffer.allocUnsafe(1024);
    this.ascii(command);
    this.octet(LF);
  }

  /** 1.0 has no escapes: a name that would end early is left out. */
  header(name: string, value: string, version: Version): void {
    if (version === 0 && name.includes(":")) return;
    this.utf8(encodeValue(name, version));
    this.octet(COLON);
    this.utf8(encodeValue(value, version));
    this.octet(LF);
  }

  ascii(value: string): void {
    this.room(value.length);
    this.buffer.write(value, this.length, "latin1");
    this.length += value.length;
  }

  utf8(value: string): void {
    this.room(value.length * 3);
    this.length += this.buffer.write(value, this.length);
  }

  raw(bytes: Uint8Array, start: number, end: number): void {
    this.room(end - start);
    this.buffer.set(bytes.subarray(start, end), this.length);
    this.length += end - start;
  }

  octet(value: number): void {
    this.room(1);
    this.buffer[this.length++] = value;
  }

  private room(count: number): void {
    if (this.length + count <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + count));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }
}

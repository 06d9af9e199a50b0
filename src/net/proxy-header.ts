import { isIP } from "node:net";

/** Both ends of the proxied connection, or null where the proxy does not say: a check of its own, or no IP. */
export interface ProxiedEnds {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export interface ProxyHeader {
  /** Bytes of the header. */
  readonly length: number;
  /** The connection is the proxy's own and stands for nobody. */
  readonly local: boolean;
  readonly ends: ProxiedEnds | null;
}

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const FIXED_BYTES = 16;
/** With room for the certificates' names that some proxies add. */
const BODY_BYTES_MAX = 4096;
const TEXT_START = Buffer.from("PROXY ", "latin1");
const TEXT_BYTES_MAX = 107;

/**
 * The header of the PROXY protocol (haproxy.org, proxy-protocol.txt) that a connection begins with: version 2
 * (section 2.2) or 1 (section 2.1). Checksums and other TLVs are skipped.
 * @returns "more" when bytes are missing
 * @throws RangeError when there is no header, or one that makes no sense
 */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | "more" {
  if (startsAlike(bytes, TEXT_START)) return parseText(bytes);
  if (!startsAlike(bytes, SIGNATURE)) throw new RangeError("no PROXY protocol header");
  if (bytes.length < FIXED_BYTES) return "more";
  const [version, command] = [bytes[12]! >> 4, bytes[12]! & 15];
  if (version !== 2) throw new RangeError(`PROXY protocol version ${version} is unknown`);
  if (command > 1) throw new RangeError(`PROXY protocol command ${command} is unknown`);
  const bodyBytes = bytes.readUInt16BE(14);
  if (bodyBytes > BODY_BYTES_MAX) throw new RangeError(`PROXY protocol header of ${bodyBytes} bytes`);
  const length = FIXED_BYTES + bodyBytes;
  if (bytes.length < length) return "more";
  const local = command === 0;
  return {
    length,
    local,
    ends: local ? null : parseEnds(bytes[13]! >> 4, bytes.subarray(FIXED_BYTES, length)),
  };
}

/** As far as there are bytes. */
function startsAlike(bytes: Buffer, start: Buffer): boolean {
  const count = Math.min(bytes.length, start.length);
  return bytes.subarray(0, count).equals(start.subarray(0, count));
}

function parseEnds(family: number, body: Buffer): ProxiedEnds | null {
  // Unspecified, or a Unix socket.
  if (family !== 1 && family !== 2) return null;
  const size = family === 1 ? 4 : 16;
  if (body.length < 2 * size + 4) throw new RangeError("PROXY protocol header without addresses");
  const write = family === 1 ? ipv4 : ipv6;
  return {
    remoteAddress: write(body.subarray(0, size)),
    localAddress: write(body.subarray(size, 2 * size)),
    remotePort: body.readUInt16BE(2 * size),
    localPort: body.readUInt16BE(2 * size + 2),
  };
}

function ipv4(bytes: Buffer): string {
  return bytes.join(".");
}

/** In the short form of RFC 5952, which URL knows. */
function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function parseText(bytes: Buffer): ProxyHeader | "more" {
  const end = bytes.subarray(0, TEXT_BYTES_MAX).indexOf("\r\n");
  if (end < 0) {
    if (bytes.length >= TEXT_BYTES_MAX) throw new RangeError("PROXY protocol header without an end");
    return "more";
  }
  const [, family, remoteAddress, localAddress, ...ports] = bytes.toString("latin1", 0, end).split(" ");
  const length = end + 2;
  if (family === "UNKNOWN") return { length, local: false, ends: null };
  const version = family === "TCP4" ? 4 : family === "TCP6" ? 6 : -1;
  const [remotePort, localPort] = ports.map(Number);
  if (
    isIP(remoteAddress ?? "") !== version ||
    isIP(localAddress ?? "") !== version ||
    !isPort(remotePort) ||
    !isPort(localPort)
  ) {
    throw new RangeError("PROXY protocol header that makes no sense");
  }
  return {
    length,
    local: false,
    ends: { remoteAddress: remoteAddress!, localAddress: localAddress!, remotePort, localPort },
  };
}

function isPort(value: number | undefined): value is number {
  return Number.isInteger(value) && value! >= 0 && value! <= 65_535;
}

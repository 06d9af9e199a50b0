import type { Api } from "./api.ts";
import { MalformedError, type Reader } from "./reader.ts";
import type { Writer } from "./writer.ts";

/** Key i16, version i16, correlation id i32. */
export const HEADER_BYTES_MIN = 8;

/** What every request begins with. */
export interface RequestHeader {
  readonly key: number;
  readonly version: number;
  readonly correlationId: number;
}

/** The part that is the same for every API and version, so that the unknown can be told from the known. */
export function readHeader(reader: Reader): RequestHeader {
  return { key: reader.int16(), version: reader.int16(), correlationId: reader.int32() };
}

/**
 * The rest of header version 1, or of version 2 for flexible requests. The client id has a 16-bit length
 * in both: KIP-482 left it as it was, so that an unknown version of ApiVersions can still be read.
 */
export function readClientId(reader: Reader, flexible: boolean): string | null {
  const length = reader.int16();
  if (length < -1) throw new MalformedError("a length is negative");
  const clientId = length < 0 ? null : reader.text(length);
  if (flexible) reader.skipTags();
  return clientId;
}

const API_VERSIONS = 18;

/** Version 0, or 1 for flexible answers; that of ApiVersions is always 0 (KIP-511). */
export function writeResponseHeader(writer: Writer, api: Api, version: number, correlationId: number): void {
  writer.int32(correlationId);
  if (api.isFlexible(version) && api.key !== API_VERSIONS) writer.uvarint(0);
}

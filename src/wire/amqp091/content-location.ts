import { readU32 } from "../../message/record.ts";
import { FRAME_HEAD_BYTES } from "./codec/frame.ts";

/** A message's content somewhere in memory: the payload of its header and the body. */
export interface Content {
  bytes: Uint8Array;
  headerAt: number;
  headerEnd: number;
  bodyAt: number;
  bodyBytes: number;
}

/** Finds header and body in native bytes that start at `nativeAt`. */
export function locateContent(bytes: Uint8Array, nativeAt: number, bodyBytes: number): Content {
  const headerAt = nativeAt + 1 + FRAME_HEAD_BYTES;
  const headerEnd = headerAt + readU32(bytes, headerAt - 4);
  return { bytes, headerAt, headerEnd, bodyAt: headerEnd + 1 + FRAME_HEAD_BYTES, bodyBytes };
}

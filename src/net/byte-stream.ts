/** To be told when bytes that were handed over may be changed again. */
export interface Receipt {
  /** Called once, whether or not they have reached anybody. */
  done(): void;
}

/** What an outbox writes to: a socket, or what is spoken inside one. */
export interface ByteSink {
  readonly destroyed: boolean;
  /**
   * Sends what shall leave together. The bytes stay as they are until the receipt is done, which may be
   * before this returns; the array is the caller's again at once.
   */
  write(parts: readonly Uint8Array[], receipt: Receipt): void;
}

export interface ByteStream extends ByteSink {
  /** What is written is sent, then the peer is told that nothing more comes. */
  end(): unknown;
  destroy(): unknown;
}

/** How the reading of a stream is held back and taken up again. */
export interface Flow<S extends ByteStream = ByteStream> {
  pause(stream: S): void;
  resume(stream: S): void;
}

/** What an outbox writes to: a socket, or what is spoken inside one. */
export interface ByteSink {
  readonly destroyed: boolean;
  /** Between `cork` and `uncork` stands what shall leave together. */
  cork(): void;
  uncork(): void;
  /** The bytes stay as they are until `done`. */
  write(bytes: Uint8Array, done: () => void): unknown;
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

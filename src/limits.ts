/** Every bound of the broker, in one place, checked against each other at start. */
export interface Limits {
  /** Payload memory: half of it for messages. Output for peers that read slowly comes on top, bounded per connection. */
  readonly arenaBytes: number;
  /** Messages larger than this are refused. */
  readonly messageBytesMax: number;
  readonly frameBytesMax: number;
  readonly frameBytesMin: number;
  readonly channelsMax: number;
  readonly heartbeatSeconds: number;
  /** Output waiting for a peer that does not read, per connection, before its consumers are held. */
  readonly outputHighWaterBytes: number;
  /** Undelivered publishes of one connection not yet durable, before its reading is paused. */
  readonly publishPendingBytesMax: number;
  /** Time for the handshake. */
  readonly handshakeMsMax: number;
  /** Free disk under which publishers are blocked. */
  readonly diskFreeBytesMin: number;
  /** Resident memory above which publishers are blocked. */
  readonly memoryBytesMax: number;
  readonly connectionsMax: number;
  readonly queuesMax: number;
}

const MiB = 1024 * 1024;

export const DEFAULT_LIMITS: Limits = {
  arenaBytes: 256 * MiB,
  messageBytesMax: 16 * MiB,
  frameBytesMax: 131_072,
  frameBytesMin: 4096,
  channelsMax: 2047,
  heartbeatSeconds: 60,
  outputHighWaterBytes: 4 * MiB,
  publishPendingBytesMax: 8 * MiB,
  handshakeMsMax: 10_000,
  diskFreeBytesMin: 256 * MiB,
  memoryBytesMax: 4096 * MiB,
  connectionsMax: 65_536,
  queuesMax: 1_000_000,
};

/** @throws RangeError naming the two limits that contradict each other */
export function checkLimits(limits: Limits): void {
  const rules: [boolean, string][] = [
    [limits.arenaBytes >= 16 * MiB, "arenaBytes must be at least 16 MiB"],
    [limits.messageBytesMax <= 512 * MiB, "messageBytesMax must be at most 512 MiB"],
    [limits.frameBytesMin >= 4096, "frameBytesMin must be at least 4096 (the protocol's floor)"],
    [limits.frameBytesMax >= limits.frameBytesMin, "frameBytesMax must be at least frameBytesMin"],
    [limits.frameBytesMax <= MiB, "frameBytesMax must be at most 1 MiB"],
    [limits.channelsMax >= 1 && limits.channelsMax <= 65_535, "channelsMax must be 1 to 65535"],
    [
      limits.outputHighWaterBytes * 4 <= limits.arenaBytes,
      "outputHighWaterBytes must be at most a quarter of arenaBytes",
    ],
    [limits.arenaBytes < limits.memoryBytesMax, "arenaBytes must be less than memoryBytesMax"],
  ];
  for (const [holds, text] of rules) if (!holds) throw new RangeError(text);
}

/** Of the files that a process may have open these are not for connections: they are the log's, and whoever asks for figures'. */
const FILES_APART_MIN = 64;
const FILES_APART_SHARE = 0.2;

/** The limits with no more connections than there are open files for: else the log would find none. */
export function withinOpenFiles(limits: Limits, openFilesMax: number): Limits {
  if (!Number.isFinite(openFilesMax)) return limits;
  const apart = Math.max(FILES_APART_MIN, Math.ceil(openFilesMax * FILES_APART_SHARE));
  return { ...limits, connectionsMax: Math.min(limits.connectionsMax, Math.max(1, openFilesMax - apart)) };
}

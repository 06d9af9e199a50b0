import type { Timer } from "../../base/clock.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { HANDLERS } from "./api/index.ts";
import { ApiTable } from "./api-table.ts";
import { KafkaConnection, type Shared } from "./connection.ts";
import { FramePool, WAITING_BYTES_MAX } from "./frames.ts";
import { Node } from "./node.ts";
import { admit } from "./security/admission.ts";
import type { KafkaSettings } from "./settings.ts";

const SWEEP_MS = 1000;
/** Share of the memory budget for requests that come in pieces. */
const FRAMES_SHARE = 0.25;
const SIZE_BYTES = 4;

/** Accepts Kafka connections, and keeps their time with one timer for all. */
export class KafkaAcceptor implements ConnectionAcceptor {
  readonly remainderBytesMax = WAITING_BYTES_MAX + SIZE_BYTES;
  private readonly shared: Shared;
  private readonly connections = new Set<KafkaConnection>();
  private timer: Timer | null = null;
  /** The event loop went round since the last sweep. */
  private turned = true;

  constructor(context: ProtocolContext<KafkaSettings>) {
    const framesBytesMax = Math.max(
      context.settings.requestBytesMax,
      context.limits.arenaBytes * FRAMES_SHARE,
    );
    this.shared = {
      node: new Node(context, new ApiTable(HANDLERS)),
      pool: new FramePool(framesBytesMax),
      closed: (connection) => this.connections.delete(connection),
    };
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new KafkaConnection(this.shared, transport);
    this.connections.add(connection);
    if (this.timer === null) this.arm();
    this.admit(connection);
    return connection;
  }

  /** Who does not log in may be somebody all the same. Requests wait until that is known. */
  private admit(connection: KafkaConnection): void {
    const release = connection.hold();
    admit(connection)
      .catch((error: Error) => {
        connection.notAdmitted = error.message;
      })
      .finally(release);
  }

  close(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  /** Only time in which sockets could have been read counts against a client. */
  private readonly sweep = (): void => {
    this.timer = null;
    if (this.turned) {
      this.turned = false;
      setImmediate(this.onTurn);
      for (const connection of this.connections) connection.tick(SWEEP_MS);
    }
    if (this.connections.size > 0) this.arm();
  };

  private readonly onTurn = (): void => {
    this.turned = true;
  };

  private arm(): void {
    this.timer = this.shared.node.context.clock.setTimer(SWEEP_MS, this.sweep);
  }
}

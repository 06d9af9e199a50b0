import { Sweep } from "../../net/sweep.ts";
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
  private readonly connections: Sweep<KafkaConnection>;

  constructor(context: ProtocolContext<KafkaSettings>) {
    this.connections = new Sweep(context.clock, SWEEP_MS);
    const framesBytesMax = Math.max(
      context.settings.requestBytesMax,
      context.limits.arenaBytes * FRAMES_SHARE,
    );
    this.shared = {
      node: new Node(context, new ApiTable(HANDLERS)),
      pool: new FramePool(framesBytesMax),
      closed: (connection) => this.connections.remove(connection),
    };
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new KafkaConnection(this.shared, transport);
    this.connections.add(connection);
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
    this.connections.stop();
  }
}

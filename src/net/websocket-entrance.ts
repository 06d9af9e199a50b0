import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { WebSocket, WebSocketServer } from "ws";
import type { Flow } from "./byte-stream.ts";
import type { ConnectionEntrance } from "./connection-entrance.ts";
import type { Arrival, Entrance } from "./entrance.ts";
import { isLoopback } from "./peer.ts";
import { WebSocketStream } from "./websocket-stream.ts";

/** RFC 6455 section 7.4.1. */
const UNSUPPORTED_DATA = 1003;
const FORWARDED = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
const WEBSOCKET_FLOW: Flow<WebSocketStream> = {
  pause: (stream) => stream.pause(),
  resume: (stream) => stream.resume(),
};

/** A protocol that is spoken inside WebSockets. */
export interface WebSocketRoute {
  readonly paths: readonly string[];
  /** As registered with IANA, best first. A client may also name none. */
  readonly subprotocols: readonly string[];
  /** Text messages are taken, and answered with text; else only binary ones. */
  readonly text: boolean;
}

export interface WebSocketOptions {
  /** Pages that may connect, such as "https://chat.example"; null: all, and who is no browser anyway. */
  readonly origins: readonly string[] | null;
  /** Largest message. */
  readonly messageBytesMax: number;
}

type Way = WebSocketRoute & { readonly entrance: ConnectionEntrance };

/** Takes WebSocket handshakes. The HTTP server behind it listens nowhere: it is handed its sockets. */
export class WebSocketEntrance implements Entrance {
  private readonly http: Server;
  private readonly server: WebSocketServer;
  private readonly ways: readonly Way[];
  private readonly origins: WebSocketOptions["origins"];
  private readonly arrivals = new WeakMap<Duplex, Arrival>();

  private constructor(
    http: Server,
    server: WebSocketServer,
    ways: readonly Way[],
    options: WebSocketOptions,
  ) {
    this.http = http;
    this.server = server;
    this.ways = ways;
    this.origins = options.origins;
    http.on("request", (request, response) => this.explain(request, response));
    http.on("upgrade", (request, socket, head) => this.upgrade(request, socket, head));
    http.on("clientError", (_error, socket) => socket.destroy());
  }

  static async open(ways: readonly Way[], options: WebSocketOptions): Promise<WebSocketEntrance> {
    const [{ createServer }, { WebSocketServer }] = await Promise.all([import("node:http"), import("ws")]);
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      // Small messages gain nothing, and each connection would pay with a quarter of a megabyte.
      perMessageDeflate: false,
      maxPayload: options.messageBytesMax,
      handleProtocols: (offered, request) => {
        const { way } = wayOf(ways, request);
        return way?.subprotocols.find((name) => offered.has(name)) ?? false;
      },
    });
    return new WebSocketEntrance(createServer(), server, ways, options);
  }

  admit(socket: Socket, arrival: Arrival): void {
    this.arrivals.set(socket, arrival);
    this.http.emit("connection", socket);
    // It was accepted without being read.
    socket.resume();
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const arrival = this.arrivals.get(socket);
    const { way, known } = wayOf(this.ways, request);
    const { origin } = request.headers;
    if (arrival === undefined) socket.destroy();
    else if (known === null) refuse(socket, "404 Not Found", this.hint());
    else if (this.origins !== null && origin !== undefined && !this.origins.includes(origin)) {
      arrival.refuse(socket as Socket, `origin ${origin} is none of ws-origins`);
    } else if (way === undefined) {
      refuse(socket, "400 Bad Request", `subprotocols spoken here: ${known.join(", ") || "none"}`);
    } else {
      const { peer } = arrival;
      arrival.peer = { ...peer, loopback: peer.loopback && this.isFromHere(request) };
      this.server.handleUpgrade(request, socket, head, (opened) => connect(opened, way, arrival));
    }
  }

  /** A proxy forwards anybody's request, and a browser connects for whatever page it shows. */
  private isFromHere({ headers }: IncomingMessage): boolean {
    if (FORWARDED.some((name) => name in headers)) return false;
    const { origin } = headers;
    if (origin === undefined || this.origins !== null) return true;
    return URL.canParse(origin) && isLoopbackHost(new URL(origin).hostname);
  }

  private explain(_request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(426, { "content-type": "text/plain", upgrade: "websocket", connection: "close" });
    response.end(`${this.hint()}\n`);
  }

  private hint(): string {
    const paths = new Set(this.ways.flatMap(({ paths }) => paths));
    return `WebSocket at ${[...paths].join(", ")}`;
  }
}

/** The ways that a request's path leads, and of these the one whose subprotocol is offered. */
function wayOf(
  ways: readonly Way[],
  request: IncomingMessage,
): { readonly way?: Way | undefined; readonly known: readonly string[] | null } {
  const path = (request.url ?? "").replace(/[?#].*$/, "").replace(/(?<=.)\/$/, "");
  const there = ways.filter(({ paths }) => paths.includes(path));
  if (there.length === 0) return { known: null };
  const offered = offeredBy(request);
  // Who names none where several meet is taken for one that speaks text: MQTT wants to be named (MQTT-6.0.0-3).
  const way =
    offered.length === 0
      ? (there.find(({ text }) => text) ?? there[0])
      : there.find(({ subprotocols }) => subprotocols.some((name) => offered.includes(name)));
  return { way, known: there.flatMap(({ subprotocols }) => subprotocols) };
}

function offeredBy(request: IncomingMessage): string[] {
  const header = request.headers["sec-websocket-protocol"];
  return header === undefined ? [] : header.split(",").map((name) => name.trim());
}

function isLoopbackHost(host: string): boolean {
  return host === "localhost" || isLoopback(host.replace(/^\[|\]$/g, ""));
}

function refuse(socket: Duplex, status: string, text: string): void {
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\n`;
  socket.end(`${head}Content-Length: ${text.length + 1}\r\n\r\n${text}\n`);
}

function connect(socket: WebSocket, way: Way, arrival: Arrival): void {
  const connection = way.entrance.connect(arrival);
  const stream = new WebSocketStream(socket);
  connection.open(stream, WEBSOCKET_FLOW);
  socket.on("message", (message: Buffer, binary: boolean) => {
    if (!binary && !way.text) {
      connection.failed(new Error("a text message, where only binary ones are spoken"));
      socket.close(UNSUPPORTED_DATA);
      return;
    }
    stream.text = !binary;
    connection.onData(message);
  });
  socket.on("error", (error) => connection.failed(error));
  socket.on("close", () => connection.closed());
}

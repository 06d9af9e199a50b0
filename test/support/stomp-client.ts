import { connect, type Socket } from "node:net";

export interface StompFrame {
  readonly command: string;
  /** In order, as they stood on the wire. */
  readonly lines: readonly [name: string, value: string][];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A STOMP client that does what it is told and nothing else. */
export class StompClient {
  private readonly socket: Socket;
  private buffered = Buffer.alloc(0);
  private readonly frames: StompFrame[] = [];
  private waiting: { resolve: (frame: StompFrame) => void; reject: (error: Error) => void } | null = null;
  /** Resolves when the server has ended the connection. */
  readonly ended: Promise<void>;
  heartBeats = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => this.receive(chunk));
    this.ended = new Promise((resolve) => socket.on("close", () => resolve()));
    socket.on("close", () => this.waiting?.reject(new Error("connection ended")));
    socket.on("error", () => {});
  }

  static async open(url: string): Promise<StompClient> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new StompClient(socket);
  }

  /** Logged in. */
  static async connect(url: string, headers: Record<string, string> = {}): Promise<StompClient> {
    const client = await StompClient.open(url);
    client.send("CONNECT", {
      "accept-version": "1.2",
      host: "/",
      login: "guest",
      passcode: "guest",
      ...headers,
    });
    const frame = await client.next();
    if (frame.command !== "CONNECTED") throw new Error(`${frame.command} ${frame.headers.message}`);
    return client;
  }

  raw(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  send(command: string, headers: Record<string, string> = {}, body: string | Uint8Array = ""): void {
    const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
    this.raw(
      Buffer.concat([Buffer.from(`${command}\n${lines.join("")}\n`), Buffer.from(body), Buffer.of(0)]),
    );
  }

  /** Sends and waits for the receipt. */
  async ask(
    command: string,
    headers: Record<string, string> = {},
    body: string | Uint8Array = "",
  ): Promise<void> {
    const receipt = `r-${Math.random()}`;
    this.send(command, { ...headers, receipt }, body);
    const frame = await this.next();
    if (frame.command !== "RECEIPT" || frame.headers["receipt-id"] !== receipt)
      throw new Error(`${frame.command} ${frame.headers.message}: ${frame.body}`);
  }

  next(): Promise<StompFrame> {
    const frame = this.frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
  }

  /** Frames that came and nobody asked for. */
  get unread(): number {
    return this.frames.length;
  }

  destroy(): void {
    this.socket.destroy();
  }

  private receive(chunk: Buffer): void {
    this.buffered = Buffer.concat([this.buffered, chunk]);
    for (;;) {
      while (this.buffered[0] === 0x0a) {
        this.heartBeats++;
        this.buffered = this.buffered.subarray(1);
      }
      const end = this.buffered.indexOf("\n\n");
      if (end < 0) return;
      const [command = "", ...rest] = this.buffered.toString("utf8", 0, end).split("\n");
      const lines = rest.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1)];
      });
      const headers: Record<string, string> = {};
      for (const [name, value] of lines) headers[name] ??= value;
      const length = headers["content-length"];
      const bodyAt = end + 2;
      const bodyEnd = length === undefined ? this.buffered.indexOf(0, bodyAt) : bodyAt + Number(length);
      if (bodyEnd < 0 || bodyEnd >= this.buffered.length) return;
      const body = Buffer.from(this.buffered.subarray(bodyAt, bodyEnd));
      this.buffered = this.buffered.subarray(bodyEnd + 1);
      const frame = { command, lines, headers, body };
      const { waiting } = this;
      this.waiting = null;
      if (waiting === null) this.frames.push(frame);
      else waiting.resolve(frame);
    }
  }
}

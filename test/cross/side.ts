// What the pair tests need of a protocol: one adapter each, over the client that its users have.

/** A message as a test says it and sees it. Absent properties are undefined; empty ones are empty. */
export interface Message {
  body: Buffer;
  key?: string;
  contentType?: string;
  contentEncoding?: string;
  correlationId?: string;
  replyTo?: string;
  messageId?: string;
  expirationMs?: number;
  priority?: number;
  timestampMs?: number;
  persistent?: boolean;
  type?: string;
  appId?: string;
  /** In order, duplicates kept where the protocol can. */
  headers?: [name: string, value: string][];
}

export type Property = keyof Message;

export interface Inbox {
  /** The next message; waits for it. */
  next(): Promise<Message>;
}

export interface Side {
  readonly name: string;
  /** What a message of this protocol can say. */
  readonly says: ReadonlySet<Property>;
  /** Several headers may have one name. */
  readonly duplicates: boolean;
  /** Publishes to an address of the topic exchange: words separated by '.'. */
  publish(address: string, message: Message): Promise<void>;
  /** Resolves when whatever is published from now on will arrive. */
  subscribe(address: string): Promise<Inbox>;
  close(): Promise<void>;
}

/** A queue between a callback and a test that waits. */
export class Mailbox implements Inbox {
  private readonly messages: Message[] = [];
  private waiting: ((message: Message) => void) | null = null;

  add(message: Message): void {
    const { waiting } = this;
    this.waiting = null;
    if (waiting === null) this.messages.push(message);
    else waiting(message);
  }

  next(): Promise<Message> {
    const message = this.messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }
}

/** Without what is undefined, for comparisons. */
export function said(message: { [K in Property]?: Message[K] | undefined }): Message {
  return Object.fromEntries(
    Object.entries(message).filter(([, value]) => value !== undefined),
  ) as unknown as Message;
}

export interface Rabbitmq {
  url: string;
  stompUrl: string | undefined;
  kill9(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}
export function startRabbitmq(options?: { stomp?: boolean }): Promise<Rabbitmq>;
export function rabbitmqBinary(): string | undefined;
export function rabbitmqVersion(): string | undefined;
export function freePort(): Promise<number>;

export interface Rabbitmq {
  url: string;
  kill9(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}
export function startRabbitmq(): Promise<Rabbitmq>;
export function rabbitmqBinary(): string | undefined;
export function rabbitmqVersion(): string | undefined;
export function freePort(): Promise<number>;

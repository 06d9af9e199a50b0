import { readFileSync } from "node:fs";

// One level up from here lies package.json, from src/ as well as from dist/.
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

export const PRODUCT = "PolyMQ";
export const VERSION = manifest.version;
/** The RabbitMQ release whose behaviour AMQP clients may expect where they look at the version. */
export const RABBITMQ_VERSION = "3.13.7";

// Serves the page, and tells it where the broker is. usage: node serve.mjs [PORT]
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const port = Number(process.argv[2] ?? 8000);
const where = { url: process.env.WS_URL ?? "ws://127.0.0.1:15675/mqtt" };
const library = createRequire(import.meta.url)
  .resolve("mqtt")
  .replace(/[^/]+\/[^/]+$/, "dist/mqtt.min.js");
const own = (name) => readFileSync(new URL(name, import.meta.url));
const FILES = {
  "/": ["text/html", own("index.html")],
  "/chat.mjs": ["text/javascript", own("chat.mjs")],
  "/mqtt.js": ["text/javascript", readFileSync(library)],
  "/where": ["application/json", JSON.stringify(where)],
};

const server = createServer(({ url }, response) => {
  const [type, body] = FILES[url] ?? [null, null];
  if (type === null) response.writeHead(404).end();
  else response.writeHead(200, { "content-type": type }).end(body);
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));

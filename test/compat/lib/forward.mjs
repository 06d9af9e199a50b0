// Forwards 127.0.0.1:5672 (and ::1, where there is one) to the broker under test: some suites
// have the standard address written into them. usage: node forward.mjs <url> [port]
import { connect, createServer } from "node:net";

const target = new URL(process.argv[2]);
const port = Number(process.argv[3] ?? 5672);

function forward(from) {
  const to = connect({ host: target.hostname, port: Number(target.port || 5672) });
  from.on("error", () => to.destroy()).on("close", () => to.destroy());
  to.on("error", () => from.destroy()).on("close", () => from.destroy());
  from.setNoDelay(true);
  to.setNoDelay(true);
  from.pipe(to).pipe(from);
}

function listen(host) {
  return new Promise((resolve, reject) => {
    createServer(forward)
      .once("error", (error) => (host === "::1" && error.code !== "EADDRINUSE" ? resolve() : reject(error)))
      .listen(port, host, resolve);
  });
}

// Another run on the same machine may hold the port for a while: wait for it to finish.
const deadline = Date.now() + 300_000;
for (;;) {
  try {
    await listen("127.0.0.1");
    break;
  } catch (error) {
    if (error.code !== "EADDRINUSE" || Date.now() > deadline) {
      console.error(`port ${port} is needed by suites that have it written into them: ${error.message}`);
      process.exit(1);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
await listen("::1").catch(() => {});
console.log(`forwarding ${port} to ${target.host}`);

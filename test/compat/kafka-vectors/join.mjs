// Joins what the client libraries wrote, newest first: each version from the newest that knows it.
import { readFileSync } from "node:fs";

const outputs = process.argv.slice(2).map((path) => readFileSync(path, "utf8").trim().split("\n"));
const joined = new Map();
outputs[0].forEach((_, i) => {
  const known = outputs.map((lines) => lines[i].split(" ")).filter(([, , , bytes]) => bytes !== "-");
  const [name, kind, version, bytes] = known[0] ?? outputs[0][i].split(" ");
  for (const other of known) {
    if (other[3] !== bytes) console.error(`the libraries differ: ${name} ${kind} ${version}`);
  }
  if (known.length === 0) console.error(`nobody knows ${name} ${kind} ${version}`);
  const key = `${name} ${kind} ${version}`;
  joined.set(key, [...(joined.get(key) ?? []), bytes]);
});
for (const [key, samples] of joined) console.log(`${key} ${samples.join(" ")}`);

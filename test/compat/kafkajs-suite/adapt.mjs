// Points a copy of kafkajs's suite at one broker. usage: node adapt.mjs DIR PLAIN_PORT TLS_PORT
// The suite knows three brokers, 0 to 2, with three ports each, and reaches into their containers to add
// partitions. Nothing that is asserted is touched.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [dir, plain, tls] = process.argv.slice(2);

function edit(file, ...replacements) {
  const path = join(dir, file);
  let text = readFileSync(path, "utf8");
  for (const [from, to] of replacements) {
    if (text.search(from) < 0)
      throw new Error(`${file} has nothing like ${from}: another version of the suite?`);
    text = text.replace(from, to);
  }
  writeFileSync(path, text);
}

edit(
  "testHelpers/index.js",
  [/(?<=[:\s])(9092|9095|9098)\b/g, plain],
  [/(?<=[:\s])(9093|9096|9099|9094|9097|9100)\b/g, tls],
  // Here tokens are signed, and are what says how long a session lasts: 15 s, as the suite's brokers do.
  [
    /undefined, \{ algorithm: 'none', expiresIn: '1h' \}/,
    "fs.readFileSync('./token.key'), { algorithm: 'RS256', expiresIn: '15s', issuer: 'kafkajs', audience: 'polymq' }",
  ],
);
// Where it looks at each of its brokers, or at the second one.
edit("src/producer/__tests__/idempotentProduceMessages.spec.js", [
  /\[0, 1, 2\](?=\) \{\n\s+const broker)/g,
  "[0]",
]);
for (const file of ["alterConfigs", "describeConfigs"]) {
  edit(`src/admin/__tests__/${file}.spec.js`, [/(?<== )brokers\[1\]\.nodeId/g, "brokers[0].nodeId"]);
}
// Where it forgets the rebalance timeout, 0 is sent: whoever has not sent SyncGroup by then is put out, by Kafka 4
// as well.
for (const file of [
  "broker/__tests__/heartbeat",
  "broker/__tests__/offsetCommit",
  "broker/__tests__/offsetFetch",
  "consumer/__tests__/errorRecovery",
]) {
  edit(`src/${file}.spec.js`, [/joinGroup\(\{\n/g, "$&      rebalanceTimeout: 60000,\n"]);
}
for (const file of readdirSync(join(dir, "src"), { recursive: true })) {
  if (!/\.spec\.js$/.test(file)) continue;
  const path = join(dir, "src", file);
  const text = readFileSync(path, "utf8");
  if (/port( =|:) 9094/.test(text)) writeFileSync(path, text.replace(/(?<=port( =|:) )9094/g, tls));
}
writeFileSync(
  join(dir, "scripts/addPartitions.sh"),
  `#!/bin/sh
exec node -e "
const admin = new (require('./index').Kafka)({ brokers: ['localhost:${plain}'], logLevel: 0 }).admin()
admin.connect()
  .then(() => admin.createPartitions({ topicPartitions: [{ topic: '$TOPIC', count: $PARTITIONS }] }))
  .then(() => admin.disconnect())
"
`,
);

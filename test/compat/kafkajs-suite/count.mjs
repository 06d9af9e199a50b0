// Compares what jest reports with the tests that cannot pass here.
// usage: node count.mjs RESULTS_JSON UNFAIR_TXT NAME RESULTS_TSV
import { appendFileSync, readFileSync } from "node:fs";

const [results, list, name, tsv] = process.argv.slice(2);
/** What a line begins with -> whether the test may pass all the same. */
const unfair = new Map(
  readFileSync(list, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.replace(/^~ /, "").split(" || ")[0], line.startsWith("~")]),
);
const report = JSON.parse(readFileSync(results, "utf8"));
const counts = { passed: 0, failed: 0, unfair: 0, skipped: 0 };

function judge(file, { fullName, status }) {
  const mayPass = unfair.get(`${file}: ${fullName}`);
  if (status === "pending" || status === "todo") counts.skipped++;
  else if (status === "passed" && mayPass !== false) counts.passed++;
  else if (status === "failed" && mayPass !== undefined) counts.unfair++;
  else {
    counts.failed++;
    console.log(
      `not ok ${file}: ${fullName}${status === "passed" ? " (passes, though it is listed as unfair)" : ""}`,
    );
  }
}

for (const suite of report.testResults) {
  const file = suite.name.slice(suite.name.indexOf("/src/") + 1);
  for (const test of suite.assertionResults) judge(file, test);
  if (suite.assertionResults.length === 0) {
    counts.failed++;
    console.log(`not ok ${file} did not run: ${suite.message.split("\n")[0]}`);
  }
}
const note = `${counts.unfair} cannot pass (unfair.txt), ${counts.skipped} skipped by the suite`;
appendFileSync(tsv, `${[name, counts.passed, counts.failed, note].join("\t")}\n`);

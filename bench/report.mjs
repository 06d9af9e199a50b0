// From medians to table lines, to the terminal, the results file and docs/benchmarks.md.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { backlogFigures } from "./backlog.mjs";
import { machineLine } from "./machine.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const docsFile = join(here, "..", "docs", "benchmarks.md");
const begin = "<!-- benchmarks: begin -->";
const end = "<!-- benchmarks: end -->";

function figuresOf(scenario) {
  if (scenario.kind === "backlog") return backlogFigures;
  if (scenario.figures) return scenario.figures;
  return [{ ...scenario.figure, wanted: scenario.wanted }];
}

export function formatNumber(value) {
  if (value === undefined || value === null || !Number.isFinite(value)) return "n/a";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return value === 0 ? "0" : value.toPrecision(3);
}

function wantedText({ ratio, value } = {}, better) {
  const parts = [];
  if (ratio) parts.push(`ratio ≥ ${ratio}`);
  if (value !== undefined) parts.push(`${better === "lower" ? "≤" : "≥"} ${formatNumber(value)}`);
  return parts.join(", ");
}

/** Over 1 always means that PolyMQ is the better one, whichever way the figure points. */
function ratioOf(figure, polymq, peer) {
  if (!polymq || !peer) return undefined;
  return figure.better === "lower" ? peer / polymq : polymq / peer;
}

function cell(outcome, figure) {
  if (!outcome) return "not run";
  // A broker that failed half-way keeps the figures it did reach only where a row has several.
  if (outcome.missing && outcome.median?.[figure.name] === undefined)
    return `missing: ${outcome.missing.replaceAll("|", "/").replaceAll("\n", " ")}`;
  return formatNumber(outcome.median[figure.name]);
}

// The pairs behind a throughput figure: both brokers in one cell, PolyMQ first.
const details = [
  { title: "end to end p50 / p99 ms", names: ["end-to-end p50", "end-to-end p99"] },
  { title: "confirm p50 / p99 ms", names: ["confirm p50", "confirm p99"] },
  { title: "CPU s per million", names: ["cpuSecondsPerMillion"] },
  { title: "RSS MiB", names: ["rssMiB"] },
  { title: "other load, cores", names: ["otherCores"] },
  { title: "syncs per round", names: ["syncsPerRound"] },
  { title: "disk bytes per publish", names: ["diskBytesPerPublish"] },
];

function detailCell({ names }, outcomes) {
  const known = outcomes.map((outcome) => names.map((name) => outcome?.median?.[name]));
  if (known.flat().every((value) => value === undefined)) return "";
  return known.map((values) => values.map(formatNumber).join(" / ")).join("; ");
}

export const columns = [
  "row",
  "figure",
  "PolyMQ",
  "peer",
  "ratio",
  "wanted",
  ...details.map(({ title }) => title),
  "measured",
];

/** Table lines (arrays of cells) for one row; `outcomes` is keyed by broker name. */
export function tableLines(scenario, outcomes, date) {
  const polymq = outcomes.PolyMQ ?? outcomes.target;
  const peer = outcomes.RabbitMQ;
  return figuresOf(scenario).map((figure, index) => {
    const ratio = ratioOf(figure, polymq?.median?.[figure.name], peer?.median?.[figure.name]);
    const title = figure.unit ? `${figure.name}, ${figure.unit}` : figure.name;
    const common = [scenario.label ?? scenario.name, title, cell(polymq, figure), cell(peer, figure)];
    const extra = details.map((detail) => (index === 0 ? detailCell(detail, [polymq, peer]) : ""));
    return [
      ...common,
      ratio ? `${ratio.toFixed(2)} x` : "n/a",
      wantedText(figure.wanted, figure.better),
      ...extra,
      date,
    ];
  });
}

export function printTable(lines) {
  const used = columns
    .map((_, i) => i)
    .filter((i) => lines.some((line) => line[i] !== "") && columns[i] !== "measured");
  const rows = [columns, ...lines].map((line) => used.map((i) => line[i]));
  const widths = used.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  for (const row of rows)
    console.log(
      row
        .map((text, i) => text.padEnd(widths[i]))
        .join("  ")
        .trimEnd(),
    );
}

export function writeResults(results) {
  const directory = join(here, "results");
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${results.started.replaceAll(":", "-").slice(0, 19)}.json`);
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  return file;
}

const markdownLine = (cells) => `| ${cells.join(" | ")} |`;

function existingLines(block) {
  const isFigure = (line) =>
    line.startsWith("| ") && !line.startsWith(`| ${columns[0]} |`) && !line.startsWith("| ---");
  return block
    .split("\n")
    .filter(isFigure)
    .map((line) =>
      line
        .slice(2, -2)
        .split(" | ")
        .map((text) => text.trim()),
    );
}

/** Rows measured now replace those of the same name; the others stay, each with its own date. */
export function updateDocs(lines, order, machine, versions) {
  const text = readFileSync(docsFile, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < 0) throw new Error(`${docsFile} has lost its markers`);
  const measured = new Set(lines.map(([name]) => name));
  const kept = existingLines(text.slice(from, to)).filter(([name]) => !measured.has(name));
  const rank = new Map(order.map((name, index) => [name, index]));
  const sorted = [...kept, ...lines].sort((a, b) => (rank.get(a[0]) ?? 1e9) - (rank.get(b[0]) ?? 1e9));
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const block = [
    begin,
    `Machine of the latest update: ${machineLine(machine)}. ${names.join(", ")}.`,
    "",
    markdownLine(columns),
    markdownLine(columns.map(() => "---")),
    ...sorted.map(markdownLine),
    "",
  ];
  writeFileSync(docsFile, text.slice(0, from) + block.join("\n") + text.slice(to));
}

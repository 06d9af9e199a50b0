import { type Logger, pino } from "pino";
import type { Settings } from "../config.ts";

interface Destination {
  write(line: string): void;
}

/** The process's log, on standard output: for people, or one JSON object a line. */
export function openLogger({ logLevel, logFormat }: Settings, output: Destination = process.stdout): Logger {
  const destination =
    logFormat === "json" ? output : { write: (line: string) => output.write(prettyLine(line)) };
  return pino(
    {
      level: logLevel,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Nobody logs a password on purpose.
      redact: ["password", "*.password"],
    },
    destination,
  );
}

/** "2026-01-01 12:30:01.250 warn  disk is filling up  freeBytes=1024" */
export function prettyLine(json: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const when = String(time).replace("T", " ").replace("Z", "");
  const rest = Object.entries(fields).map(([key, value]) => `  ${key}=${fieldText(value)}`);
  const stack = (err as { stack?: string } | undefined)?.stack;
  const trace = stack === undefined ? "" : `\n${stack.replace(/^/gm, "    ")}`;
  return `${when} ${String(level).padEnd(5)} ${msg}${rest.join("")}${trace}\n`;
}

function fieldText(value: unknown): string {
  return typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

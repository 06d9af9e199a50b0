import { ConfigError } from "../config/sources.ts";
import { environmentName, flagName, OPTIONS, type OptionName } from "../config.ts";
import { CorruptionError, DataDirectoryError, LockedError } from "../engine/engine.ts";
import { ListenError } from "../listeners.ts";

/** What went wrong with a start, in words that say what to do. A surprise keeps its stack. */
export function explain(error: unknown): string {
  if (error instanceof ConfigError) return `this configuration cannot be used:\n${indent(error.message)}`;
  if (error instanceof ListenError) return explainListening(error);
  if (error instanceof LockedError) {
    return `${error.message}\n  Stop the broker that uses it, or choose another directory: ${ways("dataDir", "DIR")}.`;
  }
  if (error instanceof CorruptionError) return `the stored data is damaged: ${error.message}`;
  if (!(error instanceof Error)) return String(error);
  if (error instanceof DataDirectoryError) {
    const remedy = error.code === "ENOSPC" ? "Make room" : "Make it usable";
    return `${error.message}\n  ${remedy}, or choose another directory: ${ways("dataDir", "DIR")}.`;
  }
  // A file or directory that cannot be used: the system's message says which and why.
  return "syscall" in error ? error.message : (error.stack ?? error.message);
}

function explainListening(error: ListenError): string {
  const { host, port, portOption, hostOption, code } = error;
  const setPort = `${ways(portOption, "PORT")}; port 0 takes any free one`;
  if (code === "EADDRINUSE") {
    return `port ${port} on ${host} is taken by another program.\n  Stop that program, or choose another port: ${setPort}.`;
  }
  if (code === "EACCES") {
    return `port ${port} on ${host} may not be opened by this user.\n  Choose another port: ${setPort}.`;
  }
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
    return `${host} is not an address of this machine.\n  Choose another: ${ways(hostOption, "ADDRESS")}.`;
  }
  return error.message;
}

function ways(name: OptionName, value: string): string {
  return `--${flagName(name)} ${value}, ${environmentName(name)}=${value}, or '${OPTIONS[name].file}' in the configuration file`;
}

function indent(text: string): string {
  return text.replace(/^/gm, "  ");
}

import { type Configuration, loadConfiguration } from "../config/sources.ts";
import { flagName, OPTION_NAMES, OPTIONS, type Option } from "../config.ts";

/** `polymq config`: one line per option: name, value in force, where it came from. */
export async function printConfiguration(
  flags: Record<string, string>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  process.stdout.write(configurationTable(await loadConfiguration(flags, environment)));
  return 0;
}

export function configurationTable({ settings, given }: Configuration): string {
  const rows = OPTION_NAMES.map((name) => {
    const option = OPTIONS[name] as Option<unknown>;
    const value = option.secret ? "********" : option.type.format(settings[name]);
    return [flagName(name), value === "" ? "(none)" : value, given.get(name)!.place] as const;
  });
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column as 0 | 1].length)));
  return rows
    .map(([name, value, place]) => `${name.padEnd(widths[0]!)}  ${value.padEnd(widths[1]!)}  ${place}\n`)
    .join("");
}

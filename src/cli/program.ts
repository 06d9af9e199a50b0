import { Command, CommanderError, Option } from "commander";
import { environmentName, flagName, OPTION_NAMES, OPTIONS, type OptionName } from "../config.ts";
import { PRODUCT, VERSION } from "../version.ts";
import { printConfiguration } from "./print-configuration.ts";
import { serve } from "./serve.ts";
import { explain } from "./start-failure.ts";

type Action = (
  flags: Record<string, string>,
  environment: NodeJS.ProcessEnv,
  onServing: () => void,
) => Promise<number>;

/** Runs the command line and returns the exit code. `onServing` is called when a broker is ready. */
export async function run(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
  onServing: () => void = () => {},
): Promise<number> {
  // Whoever stops reading our output (`polymq serve | head`) must not bring the broker down.
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
  let exitCode = 0;
  const perform = (action: Action) => async (parsed: Record<string, string | true>) => {
    exitCode = await action(flagTexts(parsed), environment, onServing);
  };
  const program = new Command("polymq")
    .description(`${PRODUCT}: a message broker for the clients you already have.`)
    .version(VERSION)
    .addHelpText("after", "\n'polymq serve --help' tells every option.")
    .exitOverride();
  withOptions(program.command("serve").description("start the broker")).action(perform(serve));
  withOptions(
    program.command("config").description("print every option, its value and where it came from"),
  ).action(perform(printConfiguration));
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    process.stderr.write(`polymq: ${explain(error)}\n`);
    return 1;
  }
  return exitCode;
}

/** Every option of the declaration as a flag; that it is read from elsewhere too is said in the help. */
function withOptions(command: Command): Command {
  command.addOption(new Option("--config <file>", "YAML file with options (POLYMQ_CONFIG)"));
  for (const name of OPTION_NAMES) command.addOption(flagOf(name));
  return command
    .allowExcessArguments(false)
    .addHelpText(
      "after",
      "\nFlags win over the environment, which wins over the file, which wins over the defaults.",
    );
}

function flagOf(name: OptionName): Option {
  const option = OPTIONS[name];
  const value = option.type.placeholder;
  // A switch may be given without saying yes.
  const flag = `--${flagName(name)} ${value === "yes|no" ? `[${value}]` : `<${value}>`}`;
  const fallback = option.defaultText ?? (typeof option.default === "string" ? option.default : "");
  const known = fallback === "" ? "" : `default ${fallback}; `;
  return new Option(flag, `${option.help} (${known}${environmentName(name)})`.replaceAll("`", ""));
}

function flagTexts(parsed: Record<string, string | true>): Record<string, string> {
  return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, `${value}`]));
}

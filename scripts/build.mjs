// npm run build: the modules, and beside them the command `polymq` in one file, which starts in half the time.
// Usage: node scripts/build.mjs [--if-needed]   (then nothing happens unless a source changed since)
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const bundle = join(root, "dist", "program.cjs");
const cache = join(root, "dist", "program.cache");
const WARM_UP_MS_MAX = 20_000;
const INPUTS = [
  "src",
  "scripts/build.mjs",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "tsconfig.build.json",
];

const changedMs = (path) => statSync(path).mtimeMs;

/** Directories count too: theirs is the time when a file was removed. */
function newestMs(path) {
  if (!statSync(path).isDirectory()) return changedMs(path);
  return Math.max(changedMs(path), ...readdirSync(path).map((name) => newestMs(join(path, name))));
}

function isCurrent() {
  const newest = Math.max(...INPUTS.map((path) => newestMs(join(root, path))));
  return existsSync(bundle) && newest < changedMs(bundle);
}

function compile() {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
}

/** What tsc made, put together: names and lines stay, so that a stack can be read. */
async function putTogether() {
  const { buildSync } = await import("esbuild");
  const result = buildSync({
    absWorkingDir: root,
    entryPoints: ["dist/cli/program.js"],
    outfile: bundle,
    bundle: true,
    write: false,
    platform: "node",
    format: "cjs",
    target: "node20",
    charset: "ascii",
    legalComments: "none",
    // Native code is no part of a text; a script that is compiled by hand cannot import.
    external: ["@node-rs/crc32"],
    supported: { "dynamic-import": false },
    define: { "import.meta.url": "bundleUrl" },
    banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
  });
  const text = result.outputFiles[0].text;
  // The first line is what compiled code that was kept is recognised by: src/cli/bundle.ts.
  const id = createHash("sha256").update(text).digest("hex").slice(0, 32);
  writeFileSync(bundle, `// ${id}\n(function (exports, require, module, __filename) {\n${text}\n})\n`);
}

/** One start, so that the next ones find its compiled code (src/cli/bundle.ts). A build without it is slower, not broken. */
async function warmUp() {
  rmSync(cache, { force: true });
  const { CLIENT_PORTS, environmentName, isSecure, OPTIONS } = await import("../dist/config.js");
  const plain = CLIENT_PORTS.filter((name) => !isSecure(name) && OPTIONS[name].default !== "off");
  const ports = Object.fromEntries([...plain, "httpPort"].map((name) => [environmentName(name), "0"]));
  const data = mkdtempSync(join(tmpdir(), "polymq-build-"));
  const args = ["dist/main.js", "serve", "--data-dir", data, "--host", "127.0.0.1"];
  const stdio = ["ignore", "pipe", "ignore"];
  const broker = spawn(process.execPath, args, { cwd: root, stdio, env: { ...process.env, ...ports } });
  const limit = setTimeout(() => broker.kill("SIGKILL"), WARM_UP_MS_MAX);
  broker.stdout.on("data", (text) => `${text}`.includes("PolyMQ ready") && broker.kill("SIGTERM"));
  await new Promise((resolve) => broker.once("close", resolve).once("error", resolve));
  clearTimeout(limit);
  rmSync(data, { recursive: true, force: true });
}

if (!process.argv.includes("--if-needed") || !isCurrent()) {
  rmSync(bundle, { force: true });
  compile();
  await putTogether();
  await warmUp();
}

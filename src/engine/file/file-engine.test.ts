import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { engineConformance } from "../conformance.ts";
import type { Durability } from "../engine.ts";
import { openFileEngine } from "./file-engine.ts";

for (const durability of ["fsync", "os"] satisfies Durability[]) {
  engineConformance(`file, ${durability}`, async () => {
    const directory = await mkdtemp(path.join(tmpdir(), "polymq-file-"));
    return {
      survives: true,
      open: () => openFileEngine({ directory, durability, segmentBytes: 64 * 1024 }),
      dispose: () => rm(directory, { recursive: true, force: true }),
    };
  });
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { engineConformance } from "../conformance.ts";
import { openMemoryEngine } from "./memory-engine.ts";

engineConformance("memory", async () => ({
  survives: false,
  open: () => openMemoryEngine(),
  dispose: async () => {},
}));

engineConformance("memory with checkpoints", async () => {
  const checkpointDir = await mkdtemp(path.join(tmpdir(), "polymq-memory-"));
  return {
    survives: true,
    open: () => openMemoryEngine({ checkpointDir, checkpointIntervalMs: 50, segmentBytes: 64 * 1024 }),
    dispose: () => rm(checkpointDir, { recursive: true, force: true }),
  };
});

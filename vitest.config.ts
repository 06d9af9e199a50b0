import { defineConfig } from "vitest/config";

// Two forks: the machine this project promises to pass on has two cores, and several suites
// start broker processes of their own.
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    poolOptions: { forks: { maxForks: 2, minForks: 1 } },
    // They end what hangs; nothing that is merely slow may meet them. A test that computes for 5 s takes a minute
    // and more on one processor that ten others want as well.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
});

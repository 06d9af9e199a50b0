import { defineConfig } from "vitest/config";

// Two forks: the machine this project promises to pass on has two cores, and several suites
// start broker processes of their own.
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    poolOptions: { forks: { maxForks: 2, minForks: 1 } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});

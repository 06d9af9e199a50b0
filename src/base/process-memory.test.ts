import { afterEach, expect, it, vi } from "vitest";
import { memoryUsage, residentBytes } from "./process-memory.ts";

afterEach(() => void vi.restoreAllMocks());

it("is what was known last while no file can be opened", () => {
  const resident = residentBytes();
  const usage = memoryUsage();
  expect(resident).toBeGreaterThan(0);
  const fails = () => {
    throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
  };
  vi.spyOn(process.memoryUsage, "rss").mockImplementation(fails);
  expect(residentBytes()).toBe(resident);
  vi.spyOn(process, "memoryUsage").mockImplementation(fails as never);
  expect(memoryUsage()).toBe(usage);
});

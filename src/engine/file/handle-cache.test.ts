import { expect, it } from "vitest";
import { HandleCache } from "./handle-cache.ts";
import { SimDisk } from "./sim-disk.ts";

async function touch(cache: HandleCache, name: string): Promise<void> {
  await cache.use(`/${name}`, "write", async () => {});
}

it("keeps files open up to its limit, the ones that were used last", async () => {
  const disk = new SimDisk();
  const cache = new HandleCache(disk, 4);
  for (let index = 0; index < 10; index++) await touch(cache, `${index}`);
  await expect.poll(() => disk.openHandles).toBe(4);
  await cache.close();
  expect(disk.openHandles).toBe(0);
});

it("makes do with fewer files where the system has no more, and goes on", async () => {
  const disk = new SimDisk();
  const allowed = 40;
  const open = disk.open.bind(disk);
  disk.open = (path, mode) =>
    disk.openHandles >= allowed
      ? Promise.reject(Object.assign(new Error("no more"), { code: "EMFILE" }))
      : open(path, mode);
  const cache = new HandleCache(disk, 1_000);
  for (let index = 0; index < 200; index++) await touch(cache, `${index}`);
  expect(disk.openHandles).toBeLessThanOrEqual(allowed);
  await cache.close();
});

/**
 * CPU time that this process spends on `work`, in ms. What takes too many steps shows in it as it does in the time on
 * the wall, and a machine with much else to do hardly does.
 */
export function cpuMsOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

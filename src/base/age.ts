const DAY_MS = 86_400_000;

const UNITS_MS: Readonly<Record<string, number>> = {
  Y: 365 * DAY_MS,
  M: 30 * DAY_MS,
  D: DAY_MS,
  h: DAY_MS / 24,
  m: 60_000,
  s: 1000,
};

/** "7D", "12h", "1Y": how long ago, or how long kept, as streams are told. In ms; null for anything else. */
export function parseAgeMs(text: string): number | null {
  const match = /^(\d{1,9})([YMDhms])$/.exec(text);
  return match === null ? null : Number(match[1]) * (UNITS_MS[match[2] as string] as number);
}

/** Figures as people read them. What is not known is "unknown", never a guess. */

const UNKNOWN = "unknown";
const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** 1536 -> "1.5 KiB"; units of 1,024, as the command line prints them. */
export function bytes(count: number | null | undefined): string {
  if (count == null) return UNKNOWN;
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  if (unit === 0) return `${value} ${value === 1 ? "byte" : "bytes"}`;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${BYTE_UNITS[unit]}`;
}

/** 83_200 -> "1 min 23 s"; 340 -> "340 ms". */
export function duration(ms: number | null | undefined): string {
  if (ms == null) return UNKNOWN;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1_440)} d ${Math.floor((minutes % 1_440) / 60)} h`;
}

/** A time that has passed, in one unit: "just now", "12 s ago", "3 h ago". */
export function ago(ms: number): string {
  if (ms < 1_500) return "just now";
  if (ms < 60_000) return `${Math.round(ms / 1_000)} s ago`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min ago`;
  if (ms < 48 * 3_600_000) return `${Math.round(ms / 3_600_000)} h ago`;
  return `${Math.round(ms / 86_400_000)} d ago`;
}

/** A round trip: below 10 ms with one decimal. */
export function latency(ms: number | null | undefined): string {
  if (ms == null) return UNKNOWN;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

export function percent(part: number, whole: number): string {
  return whole > 0 ? `${Math.round((part / whole) * 100)} %` : UNKNOWN;
}

export function count(value: number | null | undefined): string {
  return value == null ? UNKNOWN : value.toLocaleString("en-US");
}

/** "1 build", "2 builds", "1 entry", "2 entries". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** The 12 characters of an id that people are shown; the whole one goes into titles and links. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

// Made once: to make it takes a hundred times as long as to use it.
const DATE_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function dateTime(moment: string | number | Date): string {
  return DATE_TIME.format(new Date(moment));
}

/** Order text as people do ("node2" before "node10"). One made once: each call made its own. */
export const byName = new Intl.Collator(undefined, { numeric: true }).compare;

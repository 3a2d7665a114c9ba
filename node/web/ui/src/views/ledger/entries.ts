import type { Schema } from "@/api/client";

type Entry = Schema["LedgerEntry"];
type Part = Schema["LedgerEntries"];

/**
 * What was listed with what is new above it, each entry once and as it is now. null: between the two
 * there may be more, for nothing of the first page is among the newest.
 */
export function merged(
  first: Part,
  newest: Part,
  listed: readonly Entry[] = first.entries,
): Entry[] | null {
  const known = new Set(first.entries.map((entry) => entry.id));
  const overlaps = newest.entries.some((entry) => known.has(entry.id));
  if (!overlaps && newest.next !== null) return null;
  const now = new Map(newest.entries.map((entry) => [entry.id, entry]));
  return [...newest.entries, ...listed.filter((entry) => !now.has(entry.id))];
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

/** Entries by the day on which they were made, in their order. */
export function byDay(entries: readonly Entry[]): { day: string; entries: Entry[] }[] {
  const days: { day: string; entries: Entry[] }[] = [];
  for (const entry of entries) {
    const day = DAY.format(new Date(entry.time));
    const last = days.at(-1);
    if (last?.day === day) last.entries.push(entry);
    else days.push({ day, entries: [entry] });
  }
  return days;
}

/** A text with nodes called by their names: the ledger knows them by their ids. */
export function withNames(text: string, names: ReadonlyMap<string, string>): string {
  return text.replace(/\b[0-9a-f]{16}\b/g, (id) => names.get(id) ?? id);
}

/** The name of who did something. */
export function actorName(actor: Entry["actor"], names: ReadonlyMap<string, string>): string {
  return actor.name || names.get(actor.id) || actor.id;
}

interface Booking {
  account: string;
  unit: string;
  debit: number | null;
  credit: number | null;
  /** Of an account that holds a state and no amount. */
  state: string | null;
}

/** Postings as a table of double entries, and whether both sides are the same, unit by unit. */
export function bookings(postings: Entry["postings"]): { rows: Booking[]; balances: boolean } {
  const sums = new Map<string, number>();
  const rows = postings.map(({ account, side, unit, amount, state }) => {
    const isDebit = side === "debit";
    sums.set(unit, (sums.get(unit) ?? 0) + (isDebit ? amount : -amount));
    const ofState = unit === "";
    return {
      account,
      unit,
      debit: isDebit && !ofState ? amount : null,
      credit: !isDebit && !ofState ? amount : null,
      state: ofState ? `${isDebit ? "was" : "is"} ${state || "nothing"}` : null,
    };
  });
  return { rows, balances: [...sums.values()].every((sum) => sum === 0) };
}

/** Where the page shows what an entry is about; null: nowhere. */
export function entityPath(entity: string): string | null {
  const [kind, ...rest] = entity.split(":");
  const id = encodeURIComponent(rest.join(":"));
  if (id === "") return null;
  if (kind === "build") return `/ui/builds/${id}`;
  if (kind === "node") return `/ui/nodes/${id}`;
  return null;
}

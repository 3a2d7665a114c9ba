import { dateTime } from "@/format/format";

/** In milliseconds: figures below are no times of the ledger. */
const YEAR_2001 = 1e12;

/** A value of a derived table as people read it: times as such, and yes or no for what is so or not. */
export function cellText(name: string, value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value === "number" && /(^|_)(at|time|until)$/.test(name) && value > YEAR_2001) {
    return dateTime(value);
  }
  if (/^(is|has)_/.test(name) && (value === 0 || value === 1)) return value === 1 ? "yes" : "no";
  return String(value);
}

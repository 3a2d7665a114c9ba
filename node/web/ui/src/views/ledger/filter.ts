import { useSearchParams } from "wouter";
import { quoted } from "@/format/shell";

/** Which entries are asked for, as the address and the API call it. */
export interface LedgerFilter {
  type?: string[];
  origin?: string;
  actor?: string;
  entity?: string;
  build?: string;
  correlation?: string;
  text?: string;
  from?: string;
  to?: string;
  sealed?: boolean;
}

const WORDS = ["origin", "actor", "entity", "build", "correlation", "text"] as const;

/** Read the filter in an address. */
export function readFilter(parameters: URLSearchParams): LedgerFilter {
  const filter: LedgerFilter = {};
  const types = parameters.getAll("type").filter((type) => type !== "");
  if (types.length > 0) filter.type = types;
  for (const name of WORDS) {
    const value = parameters.get(name)?.trim();
    if (value) filter[name] = value;
  }
  for (const name of ["from", "to"] as const) {
    const value = parameters.get(name)?.trim();
    if (value) filter[name] = momentOf(value);
  }
  const sealed = parameters.get("sealed");
  if (sealed !== null && sealed !== "") filter.sealed = sealed === "yes";
  return filter;
}

export function useLedgerFilter(): LedgerFilter {
  const [parameters] = useSearchParams();
  return readFilter(parameters);
}

/** The same filter as options of `buildnet ledger list` and its like. */
export function commandOptions(filter: LedgerFilter): string {
  const options: string[] = [];
  for (const type of filter.type ?? []) options.push(`--type ${quoted(type)}`);
  for (const name of [...WORDS, "from", "to"] as const) {
    const value = filter[name];
    if (value !== undefined) options.push(`--${name} ${quoted(value)}`);
  }
  if (filter.sealed !== undefined) options.push(filter.sealed ? "--sealed" : "--provisional");
  return options.length > 0 ? ` ${options.join(" ")}` : "";
}

/** The same filter as the query of an address. */
export function queryText(filter: LedgerFilter): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  return query.toString();
}

/** A local time of a form as the API takes it; "2h" and what else is no such time stays. */
function momentOf(value: string): string {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value) || /(?:Z|[+-]\d\d:\d\d)$/.test(value)) return value;
  const moment = new Date(value);
  return Number.isNaN(moment.getTime()) ? value : moment.toISOString();
}

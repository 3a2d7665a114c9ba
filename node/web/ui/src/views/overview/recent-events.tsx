import { useState } from "react";
import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { ProblemView } from "@/components/problem-view";
import { Loading } from "@/components/states";
import { useEvents, useItems } from "@/live/use-live";
import { useEntryNames } from "@/pool/use-entry-names";
import {
  type Before,
  type Happening,
  ofEntry,
  ofNodeEvent,
  withLines,
} from "@/views/overview/recent";

const BEGINNING = { params: { query: { limit: 60 } } };
const ASKED_ONCE = { staleTime: Number.POSITIVE_INFINITY, gcTime: 0 };
const KEPT = 100;

/** What happened lately, in words, as it happens. */
export function RecentEvents() {
  const mayLedger = useMay("view-ledger");
  const nodes = useItems("nodes");
  const [lines, setLines] = useState<readonly Happening[]>([]);
  const [entries, setEntries] = useState<readonly Entry[]>([]);
  useEvents("nodes", (event) => {
    const line = ofNodeEvent(event, nodes.get(event.data.id as string) as Before);
    if (line !== null) setLines((known) => withLines(known, [line]));
  });
  const begun = query.useQuery("get", "/api/ledger", BEGINNING, {
    enabled: mayLedger,
    ...ASKED_ONCE,
  });
  const told = [...(begun.data?.entries ?? []), ...entries];
  const names = useEntryNames(told);
  const all = withLines(
    told.flatMap((entry) => ofEntry(entry, names) ?? []),
    lines,
  );
  return (
    <section className="card overview-events" aria-label="Recent events">
      {mayLedger && (
        <LedgerLines onEntry={(entry) => setEntries((known) => [...known, entry].slice(-KEPT))} />
      )}
      <header>
        <h2>Recent events</h2>
        {mayLedger && (
          <Link href="/ui/ledger" className="small">
            All of the ledger
          </Link>
        )}
      </header>
      {begun.error && <ProblemView problem={begun.error} command="buildnet ledger list" />}
      {begun.isLoading && <Loading what="what happened" lines={4} />}
      {all.length === 0 && !begun.isLoading && (
        <p className="soft">Nothing happened since this page is open.</p>
      )}
      <ol className="overview-feed" aria-live="polite" aria-relevant="additions">
        {all.map((line) => (
          <li key={line.id} className={line.tone}>
            <span>{line.href ? <Link href={line.href}>{line.words}</Link> : line.words}</span>
            <span className="small">
              <Age at={line.at} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

type Entry = Schema["LedgerEntry"];

/** Hears the ledger: a component of its own, for the channel is refused to who may not see it. */
function LedgerLines({ onEntry }: { onEntry: (entry: Schema["LedgerEntry"]) => void }) {
  useEvents("ledger", (event) => onEntry(event.data as unknown as Schema["LedgerEntry"]));
  return null;
}

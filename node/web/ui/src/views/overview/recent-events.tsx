import { useState } from "react";
import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { ProblemView } from "@/components/problem-view";
import { Loading } from "@/components/states";
import { useEvents } from "@/live/use-live";
import { useEntryNames } from "@/pool/use-entry-names";
import { newest, ofEntry, ofHealth } from "@/views/overview/recent";

const BEGINNING = { params: { query: { limit: 60 } } };
const ASKED_ONCE = { staleTime: Number.POSITIVE_INFINITY, gcTime: 0 };
const KEPT = 100;

/**
 * What happened lately, in words, as it happens: by the ledger, and by what the nodes became last, so
 * that who comes later, or again, is told the same. `at`: when `health` was told.
 */
export function RecentEvents({ health, at }: { health: Schema["PoolHealth"]; at: number }) {
  const mayLedger = useMay("view-ledger");
  const [entries, setEntries] = useState<readonly Entry[]>([]);
  const begun = query.useQuery("get", "/api/ledger", BEGINNING, {
    enabled: mayLedger,
    ...ASKED_ONCE,
  });
  const told = [...(begun.data?.entries ?? []), ...entries];
  const names = useEntryNames(told);
  const all = newest([
    ...told.flatMap((entry) => ofEntry(entry, names) ?? []),
    ...ofHealth(health, at),
  ]);
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
        <p className="soft">Nothing is known to have happened.</p>
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

import { Link, useParams } from "wouter";
import { query, type Schema } from "@/api/client";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { Who } from "@/components/who";
import { dateTime, shortId } from "@/format/format";
import { whoIs } from "@/format/who";
import { ViewHead } from "@/layout/frame";
import { useSubject } from "@/layout/title";
import { useRefetchOnPool } from "@/live/use-refetch";
import { entryWords } from "@/pool/entry-words";
import { useEntryNames } from "@/pool/use-entry-names";
import { ChainNeighbours, ChainSteps } from "@/views/ledger/chain-neighbours";
import { actorName, entityPath, withNames } from "@/views/ledger/entries";
import { kindOf, toneOfType } from "@/views/ledger/entry-kind";
import { JsonView } from "@/views/ledger/json-view";
import { useNodeNames } from "@/views/ledger/names";
import { Postings } from "@/views/ledger/postings";
import { ProofCard } from "@/views/ledger/proof-card";
import { SealBadge } from "@/views/ledger/timeline";
import type { Entry } from "@/views/ledger/use-entries";
import "@/views/ledger/ledger.css";
import { quoted } from "@/format/shell";

/** One entry: all that it says, what it books, where it stands, and the proof of it. */
export default function EntryView() {
  const { id = "" } = useParams();
  const path = "/api/ledger/entries/{entry_id}";
  const found = query.useQuery("get", path, { params: { path: { entry_id: id } } });
  useRefetchOnPool(["get", path], "ledger");
  useSubject([found.data && kindOf(found.data.type).words, shortId(id)].filter(Boolean).join(" "));
  const problem = <NotAnswered asked={found} command={`buildnet ledger show ${quoted(id)}`} />;
  if (found.data === undefined) {
    if (found.error === null) return <Loading what="the entry" lines={6} />;
    return (
      <>
        <ViewHead title="An entry of the ledger" />
        {problem}
        <p>
          <Link href="/ui/ledger">To the ledger</Link>
        </p>
      </>
    );
  }
  return (
    <>
      {problem}
      <Shown entry={found.data} />
    </>
  );
}

function Shown({ entry }: { entry: Schema["LedgerEntryInChain"] }) {
  const names = useNodeNames();
  const called = useEntryNames([entry]);
  const { icon: Icon, words } = kindOf(entry.type);
  return (
    <>
      <p className="small">
        <Link href="/ui/ledger">Ledger</Link>
      </p>
      <ViewHead title={entryWords(entry, called)}>
        <Badge tone={toneOfType(entry.type)}>
          <Icon aria-hidden />
          {words}
        </Badge>
        <SealBadge sealed={entry.sealed} />
        <ChainSteps entry={entry} />
      </ViewHead>
      <div className="stack">
        <div className="ledger-columns">
          <section className="card" aria-label="What it says">
            <Facts entry={entry} names={names} />
          </section>
          <ProofCard entry={entry} />
        </div>
        {entry.postings.length > 0 && <Postings postings={entry.postings} names={names} />}
        <section className="card stack tight" aria-labelledby="entry-data">
          <h2 id="entry-data">Data</h2>
          {entry.data === null ? (
            <p className="soft">It has none, or it was pruned on this node.</p>
          ) : (
            <JsonView value={entry.data} label="Data" />
          )}
        </section>
        <ChainNeighbours entry={entry} names={names} />
        <details className="card">
          <summary>The whole entry as JSON</summary>
          <JsonView value={entry} label="Entry" />
        </details>
      </div>
    </>
  );
}

function Facts({ entry, names }: { entry: Entry; names: ReadonlyMap<string, string> }) {
  const path = entityPath(entry.entity);
  const entity = withNames(entry.entity, names);
  const by = actorName(entry.actor, names);
  return (
    <dl className="facts">
      <dt>Type</dt>
      <dd>
        <Link href={`/ui/ledger?type=${encodeURIComponent(entry.type)}`}>{entry.type}</Link>
      </dd>
      <dt>Time</dt>
      <dd>
        {dateTime(entry.time)} · <Age at={entry.time} />
      </dd>
      <dt>By</dt>
      <dd>
        <Link href={`/ui/ledger?actor=${encodeURIComponent(entry.actor.id)}`}>
          <Who actor={by} />
        </Link>{" "}
        {whoIs(by).kind === null && <span className="soft">({entry.actor.kind})</span>}
      </dd>
      {entry.reason && (
        <>
          <dt>Reason</dt>
          <dd>{withNames(entry.reason, names)}</dd>
        </>
      )}
      {entry.entity && (
        <>
          <dt>About</dt>
          <dd>
            {path === null ? entity : <Link href={path}>{entity}</Link>} ·{" "}
            <Link href={`/ui/ledger?entity=${encodeURIComponent(entry.entity)}`}>all about it</Link>{" "}
            ·{" "}
            <Link
              href={`/ui/ledger?tab=state&entity=${encodeURIComponent(entry.entity)}${entry.sealed === null ? "" : `&at=${entry.sealed}`}`}
            >
              its state then
            </Link>
          </dd>
        </>
      )}
      <dt>Recorded by</dt>
      <dd>{names.get(entry.node_id) ?? entry.node_id}</dd>
      {entry.correlation && (
        <>
          <dt>Belongs to</dt>
          <dd>
            <Link href={`/ui/ledger?correlation=${encodeURIComponent(entry.correlation)}`}>
              {entry.correlation}
            </Link>
          </dd>
        </>
      )}
      <dt>Id and hash</dt>
      <dd>
        <code className="small">{entry.id}</code>
      </dd>
    </dl>
  );
}

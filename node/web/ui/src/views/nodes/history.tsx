import { Link } from "wouter";
import { api, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { Choice } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { MoreButton, usePages } from "@/components/pages";
import { Loading } from "@/components/states";
import { useFilter } from "@/components/url-state";
import { quoted } from "@/format/shell";
import type { PoolNode } from "@/live/pool-nodes";
import { useRefetchOn } from "@/live/use-refetch";
import { buildOf, entryWords } from "@/pool/entry-words";
import { useEntryNames } from "@/pool/use-entry-names";

const PART = 20;
const KINDS = [
  ["", "everything"],
  ["build.*", "builds that it drove"],
  ["resources.*", "what it lent"],
  ["node.*", "starts and stops"],
  ["system.*", "settings"],
] as const;

/** What the ledger has of this node: the entries that it wrote itself, the newest first. */
export function History({ node }: { node: PoolNode }) {
  const mayLedger = useMay("view-ledger");
  const [kind, setKind] = useFilter("history");
  if (!mayLedger) return null;
  return (
    <section className="node-wide" aria-label="History">
      <div className="row between section-title">
        <h2>History</h2>
        <div className="row">
          <Choice label="Show" value={kind} options={KINDS} onChange={setKind} />
          <Link href={`/ui/ledger?origin=${node.id}`} className="small">
            In the ledger
          </Link>
        </div>
      </div>
      <Entries key={kind} node={node} kind={kind} />
    </section>
  );
}

function Entries({ node, kind }: { node: PoolNode; kind: string }) {
  useRefetchOn("ledger", ["history", node.id], (event) => event.data.node_id === node.id);
  const list = usePages(["history", node.id, kind], async (cursor) => {
    const wanted = {
      origin: node.id,
      limit: PART,
      ...(kind !== "" && { type: [kind] }),
      ...(cursor !== null && { cursor }),
    };
    return (await api.GET("/api/ledger", { params: { query: wanted } })).data;
  });
  const entries = (list.parts ?? []).flatMap((part) => part.entries);
  const names = useEntryNames(entries);
  const problem = (
    <NotAnswered
      asked={list.asked}
      command={`buildnet ledger list --origin ${quoted(node.name)}`}
    />
  );
  if (list.parts === undefined) {
    return list.asked.error ? problem : <Loading what="its history" lines={4} />;
  }
  return (
    <>
      {problem}
      {entries.length === 0 && <p className="soft">The ledger has nothing of it.</p>}
      <ol className="history">
        {entries.map((entry) => (
          <Entry key={entry.id} entry={entry} words={entryWords(entry, names)} />
        ))}
      </ol>
      <MoreButton list={list} />
    </>
  );
}

function Entry({ entry, words }: { entry: Schema["LedgerEntry"]; words: string }) {
  const build = buildOf(entry);
  return (
    <li>
      <span className="small">
        <Age at={entry.time} />
      </span>
      <code className="small soft">{entry.type}</code>
      <Link href={build === undefined ? `/ui/ledger/${entry.id}` : `/ui/builds/${build}`}>
        {words}
      </Link>
      <span className="small soft">
        {entry.sealed === null ? "provisional" : `sealed ${entry.sealed}`}
      </span>
    </li>
  );
}

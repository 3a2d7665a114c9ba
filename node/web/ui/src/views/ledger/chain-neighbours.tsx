import { ArrowDown, ArrowUp } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { dateTime } from "@/format/format";
import { useRefetchOn } from "@/live/use-refetch";
import { entryWords } from "@/pool/entry-words";
import { useEntryNames } from "@/pool/use-entry-names";

type Entry = Schema["LedgerEntryInChain"];
const PATH = "/api/ledger/entries/{entry_id}";

/** Where an entry stands in its chain: what it hangs on, and what hangs on it. */
export function ChainNeighbours({
  entry,
  names,
}: {
  entry: Entry;
  names: ReadonlyMap<string, string>;
}) {
  // What comes next may come while the last entry of a chain is looked at.
  useRefetchOn(
    "ledger",
    ["get", PATH],
    ({ data }) => entry.next === null && data.node_id === entry.node_id,
  );
  const origin = names.get(entry.node_id) ?? entry.node_id;
  return (
    <section className="card stack tight" aria-labelledby="entry-chain">
      <h2 id="entry-chain">In the chain of {origin}</h2>
      <Neighbour icon={<ArrowUp aria-hidden size={16} />} words="Before">
        {entry.previous === null ? "It begins the chain." : <EntryLink id={entry.previous} />}
      </Neighbour>
      <Neighbour icon={<span className="soft small">no.</span>} words="This">
        {entry.sequence}, of the incarnation <code>{entry.incarnation}</code>
      </Neighbour>
      <Neighbour icon={<ArrowDown aria-hidden size={16} />} words="After">
        {entry.next === null ? "None yet." : <EntryLink id={entry.next} />}
      </Neighbour>
    </section>
  );
}

/** To the entries before and after one in its chain. */
export function ChainSteps({ entry }: { entry: Entry }) {
  return (
    <nav className="row" aria-label="Entries of the chain">
      <Step id={entry.previous} words="Previous" rel="prev" />
      <Step id={entry.next} words="Next" rel="next" />
    </nav>
  );
}

function Step({ id, words, rel }: { id: string | null; words: string; rel: "prev" | "next" }) {
  const inside = (
    <>
      {rel === "prev" && <ArrowUp aria-hidden size={16} />}
      {words}
      {rel === "next" && <ArrowDown aria-hidden size={16} />}
    </>
  );
  return id === null ? (
    <button type="button" className="button" disabled title={`There is no ${words.toLowerCase()}`}>
      {inside}
    </button>
  ) : (
    <Link href={`/ui/ledger/${id}`} className="button" rel={rel}>
      {inside}
    </Link>
  );
}

function Neighbour({
  icon,
  words,
  children,
}: {
  icon: ReactNode;
  words: string;
  children: ReactNode;
}) {
  return (
    <div className="ledger-neighbour">
      <span className="row soft">
        {icon} {words}
      </span>
      <div>{children}</div>
    </div>
  );
}

function EntryLink({ id }: { id: string }) {
  const { data: entry } = query.useQuery("get", PATH, { params: { path: { entry_id: id } } });
  const called = useEntryNames(entry === undefined ? [] : [entry]);
  if (entry === undefined) {
    return (
      <Link href={`/ui/ledger/${id}`}>
        <code className="small">{id}</code>
      </Link>
    );
  }
  return (
    <>
      <Link href={`/ui/ledger/${entry.id}`}>{entryWords(entry, called)}</Link>{" "}
      <span className="soft small">
        no. {entry.sequence}, {dateTime(entry.time)}
      </span>
    </>
  );
}

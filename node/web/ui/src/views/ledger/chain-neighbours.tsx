import { ArrowDown, ArrowUp } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { query } from "@/api/client";
import { dateTime } from "@/format/format";
import { withNames } from "@/views/ledger/entries";
import type { Entry } from "@/views/ledger/use-entries";

const NEAR = 100;

/** The entries of the same chain that an entry hangs on, and that hangs on it. */
export function ChainNeighbours({
  entry,
  names,
}: {
  entry: Entry;
  names: ReadonlyMap<string, string>;
}) {
  const isFirst = /^0*$/.test(entry.prev_hash) || entry.sequence <= 1;
  const before = query.useQuery(
    "get",
    "/api/ledger/entries/{entry_id}",
    { params: { path: { entry_id: entry.prev_hash } } },
    { enabled: !isFirst },
  );
  const since = query.useQuery("get", "/api/ledger", {
    params: {
      query: { origin: entry.origin, from: entry.time, order: "asc", limit: NEAR },
    },
  });
  const next = since.data?.entries.find((one) => one.prev_hash === entry.hash);
  const origin = names.get(entry.node_id) ?? entry.node_id;
  return (
    <section className="card stack tight" aria-labelledby="entry-chain">
      <h2 id="entry-chain">In the chain of {origin}</h2>
      <Neighbour icon={<ArrowUp aria-hidden size={16} />} words="Before">
        {isFirst ? (
          "It begins the chain."
        ) : before.data ? (
          <EntryLink entry={before.data} names={names} />
        ) : (
          <code className="small">{entry.prev_hash}</code>
        )}
      </Neighbour>
      <Neighbour icon={<span className="soft small">no.</span>} words="This">
        {entry.sequence}, of the incarnation <code>{entry.incarnation}</code>
      </Neighbour>
      <Neighbour icon={<ArrowDown aria-hidden size={16} />} words="After">
        {next ? <EntryLink entry={next} names={names} /> : since.isPending ? "…" : "None yet."}
      </Neighbour>
    </section>
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

function EntryLink({ entry, names }: { entry: Entry; names: ReadonlyMap<string, string> }) {
  return (
    <>
      <Link href={`/ui/ledger/${entry.id}`}>{withNames(entry.text, names)}</Link>{" "}
      <span className="soft small">
        no. {entry.sequence}, {dateTime(entry.time)}
      </span>
    </>
  );
}

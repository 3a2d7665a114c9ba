import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { Age } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { Command } from "@/components/command";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { Who } from "@/components/who";
import { duration } from "@/format/format";
import { quoted } from "@/format/shell";
import { endedIn, type LedgerPackage } from "@/views/builds/ledger-build";
import { useNames } from "@/views/builds/use-names";

type Entry = Schema["LedgerEntry"];

/** What every node knows of a build whose record can't be had: what the ledger has of it. */
export function KnownInLedger({ id }: { id: string }) {
  const names = useNames();
  const found = query.useQuery("get", "/api/ledger", { params: { query: { build: id } } });
  const command = `buildnet ledger list --build ${quoted(id)}`;
  const problem = <NotAnswered asked={found} command={command} />;
  if (found.data === undefined) {
    return found.error ? problem : <Loading what="what the ledger knows of it" />;
  }
  const entries = [...(found.data.entries as Entry[])].sort((a, b) => a.hlc - b.hlc);
  if (entries.length === 0) return problem;
  const ended = endedIn(entries);
  const columns: Column<LedgerPackage>[] = [
    { name: "package", cell: (one) => one.name, sort: (one) => one.name },
    { name: "status", cell: (one) => <StatusBadge status={one.status} /> },
    { name: "took", numeric: true, cell: (one) => duration(one.duration_ms) },
    { name: "node", cell: (one) => (one.node === null ? "" : (names.get(one.node) ?? one.node)) },
  ];
  if (ended.packages.some((one) => one.error !== null)) {
    columns.push({ name: "why", cell: (one) => one.error ?? "" });
  }
  return (
    <section className="card stack tight" aria-label="What the ledger knows">
      <h2>What all nodes know of it</h2>
      {problem}
      <p className="soft">
        Its record is on the node that drove it. This is what that node put into the ledger.
      </p>
      <ul className="stack tight">
        {entries.map((entry) => (
          <li key={entry.id}>
            <Age at={entry.time} />{" "}
            <Link href={`/ui/ledger/${entry.id}`}>
              {entry.text.replace(`${entry.entity} `, "")}
            </Link>{" "}
            <span className="soft">
              on {names.get(entry.node_id) ?? entry.node_id}, by <Who actor={entry.actor.name} />
            </span>
          </li>
        ))}
      </ul>
      {ended.packages.length > 0 && (
        <Table
          caption="How its packages ended"
          columns={columns}
          rows={ended.packages}
          step={50}
          keyOf={(one) => one.name}
        />
      )}
      {ended.leftOut > 0 && (
        <p className="soft small">
          {ended.leftOut} more stood as before, or did not fit into the entry.
        </p>
      )}
      <Command line={command} />
    </section>
  );
}

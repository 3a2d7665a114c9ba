import type { Schema } from "@/api/client";
import { Badge } from "@/components/badge";
import { type Column, Table } from "@/components/table";
import type { PoolNode } from "@/live/pool-nodes";

type Row = Schema["Program"] & { kind: string };

const SHOWN = 10;

const COLUMNS: readonly Column<Row>[] = [
  { name: "name", cell: (row) => <strong>{row.name}</strong>, sort: (row) => row.name },
  { name: "kind", cell: (row) => row.kind, sort: (row) => row.kind },
  {
    name: "version",
    cell: (row) => row.version ?? "unknown",
    sort: (row) => row.version,
  },
  {
    name: "capabilities",
    cell: (row) =>
      row.problem ? (
        <Badge tone="bad">{row.problem}</Badge>
      ) : (
        <span className="row tight">
          {row.capabilities?.slice(0, SHOWN).map((capability) => (
            <Badge key={capability}>{capability}</Badge>
          ))}
          {(row.capabilities?.length ?? 0) > SHOWN && (
            <details className="small">
              <summary>and {(row.capabilities?.length ?? 0) - SHOWN} more</summary>
              {row.capabilities?.slice(SHOWN).join(", ")}
            </details>
          )}
        </span>
      ),
  },
  { name: "path", cell: (row) => <code>{row.path}</code>, sort: (row) => row.path },
];

/** The tools and runtimes that the scan found, with versions and what they can do. */
export function Programs({ node }: { node: PoolNode }) {
  const rows: Row[] = [
    ...(node.resources?.runtimes ?? []).map((program) => ({ ...program, kind: "runtime" })),
    ...(node.resources?.tools ?? []).map((program) => ({ ...program, kind: "tool" })),
  ];
  return (
    <section className="node-wide node-programs" aria-label="Tools and runtimes">
      <h2 className="section-title">Tools and runtimes</h2>
      {rows.length === 0 ? (
        <p className="soft">None were found.</p>
      ) : (
        <Table
          caption="Tools and runtimes"
          columns={COLUMNS}
          rows={rows}
          keyOf={(row) => `${row.kind} ${row.name} ${row.path}`}
          parameter="programs"
        />
      )}
    </section>
  );
}

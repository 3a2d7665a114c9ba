import { useMemo } from "react";
import {
  dependents,
  directoryWords,
  type GraphPackage,
  type Shown,
} from "@/components/package-graph/shape";
import { LOOKS } from "@/components/package-graph/states";
import { type Column, Table } from "@/components/table";

const PART = 50;

/** The same graph in words, for keyboards and screen readers. */
export function GraphList({
  shape,
  packages,
  found,
  onSelect,
}: {
  shape: Shown;
  packages: readonly GraphPackage[];
  found: ReadonlySet<string> | null;
  onSelect: (id: string) => void;
}) {
  const byId = useMemo(() => new Map(packages.map((one) => [one.id, one])), [packages]);
  const neededBy = useMemo(() => dependents(packages), [packages]);
  const rows = found === null ? shape.nodes : shape.nodes.filter((node) => found.has(node.id));
  const names = (ids: readonly string[]) =>
    ids.length === 0 ? (
      <span className="soft">none</span>
    ) : (
      `${ids.slice(0, 8).join(", ")}${ids.length > 8 ? ` and ${ids.length - 8} more` : ""}`
    );
  const columns: Column<Shown["nodes"][number]>[] = [
    {
      name: "package",
      cell: (node) => (
        <span className="row">
          <button
            type="button"
            className="button plain link task-name"
            title={node.label}
            onClick={() => onSelect(node.id)}
          >
            {node.label}
          </button>
          {node.within !== null && (
            <span className="soft small">of {directoryWords(node.within)}</span>
          )}
        </span>
      ),
      sort: (node) => node.label,
    },
    {
      name: "state",
      cell: (node) => (
        <span className={`graph-key ${node.state}`}>
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path
              d={LOOKS[node.state].path}
              className={LOOKS[node.state].filled ? "filled" : "line"}
            />
          </svg>
          {LOOKS[node.state].words}
        </span>
      ),
      sort: (node) => LOOKS[node.state].words,
    },
    { name: "needs", cell: (node) => names(byId.get(node.id)?.needs ?? node.members ?? []) },
    { name: "needed by", cell: (node) => names(neededBy.get(node.id) ?? []) },
  ];
  return (
    <div className="stack tight">
      <Table
        caption="Packages"
        columns={columns}
        rows={rows}
        step={PART}
        keyOf={(node) => node.id}
        parameter="order"
      />
    </div>
  );
}

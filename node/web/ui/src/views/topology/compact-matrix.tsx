import { useMemo, useState } from "react";
import { useNow } from "@/components/age";
import { ago } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { cellPaths, MOVES } from "@/views/topology/grid-paths";
import { nearGroups } from "@/views/topology/layout";
import { type Links, linkWords } from "@/views/topology/links";

const CELL = 11;
const HEAD = 92;

/**
 * The matrix of many nodes: small cells, and the figure of the one that is pointed at or that the
 * arrow keys lead to.
 */
export function CompactMatrix({ nodes: all, links }: { nodes: readonly PoolNode[]; links: Links }) {
  const [at, setAt] = useState<{ row: number; column: number } | null>(null);
  const now = useNow();
  // Where they stand changes with who is there and with the links, not with each figure of a node.
  const ids = all.map((node) => node.id).join(" ");
  // Those near each other stand together, so that sites are squares.
  const order = useMemo(() => nearGroups(ids.split(" "), links).flat(), [ids, links]);
  const paths = useMemo(() => cellPaths(order, links, CELL), [order, links]);
  const byId = new Map(all.map((node) => [node.id, node]));
  const nodes = order.flatMap((id) => byId.get(id) ?? []);
  const side = nodes.length * CELL;
  const bounded = (place: number) => Math.min(nodes.length - 1, Math.max(0, place));
  const point = (event: React.MouseEvent<SVGGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const row = bounded(Math.floor((event.clientY - box.top) / CELL));
    const column = bounded(Math.floor((event.clientX - box.left) / CELL));
    if (at?.row !== row || at.column !== column) setAt({ row, column });
  };
  const move = (event: React.KeyboardEvent) => {
    const by = MOVES[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const from = at ?? { row: 0, column: 0 };
    setAt({ row: bounded(from.row + by[0]), column: bounded(from.column + by[1]) });
  };
  const row = at && nodes[at.row];
  const column = at && nodes[at.column];
  const link = row && column ? links.between(row.id, column.id) : undefined;
  return (
    <section aria-label="Matrix of round trips">
      <output className="matrix-said" aria-live="polite">
        {row && column
          ? row === column
            ? row.name
            : `${row.name} and ${column.name}: ${linkWords(link)}${link?.at == null ? "" : `, ${ago(Math.max(0, now - link.at))}`}`
          : "Point at a cell, or go there with the arrow keys, for its figure."}
      </output>
      <div className="table-frame matrix-frame">
        <svg
          className="compact-matrix"
          width={HEAD + side + 1}
          height={HEAD + side + 1}
          role="application"
          aria-label={`Round trips between ${nodes.length} nodes; arrow keys tell each figure above`}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it is moved in by keys
          tabIndex={0}
          onKeyDown={move}
          onMouseLeave={() => setAt(null)}
        >
          {nodes.map((node, place) => (
            <g key={node.id} className={at?.row === place || at?.column === place ? "lit" : ""}>
              <text x={HEAD - 6} y={HEAD + place * CELL + CELL - 2} textAnchor="end">
                {short(node.name)}
              </text>
              <text
                transform={`translate(${HEAD + place * CELL + CELL - 2} ${HEAD - 6}) rotate(-90)`}
              >
                {short(node.name)}
              </text>
            </g>
          ))}
          {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys are heard by the whole */}
          <g transform={`translate(${HEAD} ${HEAD})`} onMouseMove={point}>
            {Object.entries(paths).map(([grade, path]) => (
              <path key={grade} d={path} className={`grade-${grade}`} />
            ))}
            {at && (
              <>
                <rect y={at.row * CELL} width={side} height={CELL} className="cross" />
                <rect x={at.column * CELL} width={CELL} height={side} className="cross" />
              </>
            )}
          </g>
        </svg>
      </div>
    </section>
  );
}

function short(name: string): string {
  return name.length > 13 ? `${name.slice(0, 12)}…` : name;
}

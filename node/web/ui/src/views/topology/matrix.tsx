import { useState } from "react";
import { Link as To } from "wouter";
import { useNow } from "@/components/age";
import { ago, latency } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { MOVES } from "@/views/topology/grid-paths";
import { type Link, type Links, linkWords } from "@/views/topology/links";

/** Each node's round trip to each other, as a table: colour and figure. */
export function Matrix({ nodes, links }: { nodes: readonly PoolNode[]; links: Links }) {
  const [at, setAt] = useState<{ row: string; column: string } | null>(null);
  // One cell is reached by Tab, the others from there by arrow keys.
  const [entry, setEntry] = useState<string | null>(null);
  const now = useNow();
  const ids = nodes.map((node) => node.id);
  const cells = new Set(ids.flatMap((row) => ids.map((column) => `${row} ${column}`)));
  const entered = entry !== null && cells.has(entry) ? entry : `${ids[0]} ${ids[1]}`;
  const follow = (event: React.SyntheticEvent) => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
    if (cell) setAt({ row: cell.dataset.row ?? "", column: cell.dataset.column ?? "" });
  };
  const move = (event: React.KeyboardEvent<HTMLTableElement>) => {
    const by = MOVES[event.key];
    const from = (event.target as HTMLElement).dataset;
    if (by === undefined || from.row === undefined || from.column === undefined) return;
    event.preventDefault();
    let row = ids.indexOf(from.row) + by[0];
    let column = ids.indexOf(from.column) + by[1];
    if (row === column) {
      // There is no link from a node to itself: over it.
      row += by[0];
      column += by[1];
    }
    const selector = `[data-row="${ids[row]}"][data-column="${ids[column]}"]`;
    event.currentTarget.querySelector<HTMLElement>(selector)?.focus();
  };
  return (
    <div className="table-frame matrix-frame">
      <table
        className="matrix"
        onMouseOver={follow}
        onFocus={(event) => {
          follow(event);
          const { row, column } = event.target.dataset;
          if (row !== undefined && column !== undefined) setEntry(`${row} ${column}`);
        }}
        onKeyDown={move}
        onMouseLeave={() => setAt(null)}
        onBlur={() => setAt(null)}
      >
        <caption className="small soft">
          Round trips in milliseconds; ~ is estimated, a figure's age stands in its tip.
        </caption>
        <thead>
          <tr>
            <td />
            {nodes.map((node) => (
              <th key={node.id} scope="col" className={at?.column === node.id ? "lit" : ""}>
                <span>{node.name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {nodes.map((row) => (
            <tr key={row.id}>
              <th scope="row" className={at?.row === row.id ? "lit" : ""}>
                <To href={`/ui/nodes/${row.id}`}>{row.name}</To>
              </th>
              {nodes.map((column) => {
                if (row === column) return <td key={column.id} className="grade-self" />;
                const link = links.between(row.id, column.id);
                const lit = at?.row === row.id || at?.column === column.id;
                return (
                  <td
                    key={column.id}
                    data-row={row.id}
                    data-column={column.id}
                    tabIndex={entered === `${row.id} ${column.id}` ? 0 : -1}
                    title={tip(row, column, link, now)}
                    className={`grade-${link?.grade ?? "unknown"} ${lit ? "lit" : ""}`}
                  >
                    {figure(link)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function figure(link: Link | undefined): string {
  if (link?.latencyMs == null) return "unknown";
  return `${link.estimated ? "~" : ""}${latency(link.latencyMs)}`;
}

function tip(row: PoolNode, column: PoolNode, link: Link | undefined, now: number): string {
  const age = link?.at == null ? "" : `, ${ago(Math.max(0, now - link.at))}`;
  return `${row.name} and ${column.name}: ${linkWords(link)}${age}`;
}

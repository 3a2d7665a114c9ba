import { useState } from "react";
import { Link as To } from "wouter";
import { useNow } from "@/components/age";
import { ago, latency } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { type Link, type Links, linkWords } from "@/views/topology/links";

/** Each node's round trip to each other, as a table: colour and figure. */
export function Matrix({ nodes, links }: { nodes: readonly PoolNode[]; links: Links }) {
  const [at, setAt] = useState<{ row: string; column: string } | null>(null);
  const now = useNow();
  const follow = (event: React.SyntheticEvent) => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
    if (cell) setAt({ row: cell.dataset.row ?? "", column: cell.dataset.column ?? "" });
  };
  return (
    <div className="table-frame matrix-frame">
      <table
        className="matrix"
        onMouseOver={follow}
        onFocus={follow}
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
                    // biome-ignore lint/a11y/noNoninteractiveTabindex: its tip is for the keyboard, too
                    tabIndex={0}
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

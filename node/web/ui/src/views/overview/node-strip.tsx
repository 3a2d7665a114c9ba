import { Link } from "wouter";
import { StatusBadge } from "@/components/badge";
import type { PoolNode } from "@/live/pool-nodes";
import { standing } from "@/pool/totals";
import { inConcern } from "@/views/nodes/node-list";

const SHOWN = 24;

/** The nodes by name, those first that somebody should look at. */
export function NodeStrip({ nodes }: { nodes: readonly PoolNode[] }) {
  const shown = [...nodes].sort((a, b) => inConcern(b) - inConcern(a)).slice(0, SHOWN);
  return (
    <section className="card" aria-label="Nodes">
      <header>
        <h2>Nodes</h2>
        <Link href="/ui/nodes" className="small">
          {nodes.length > SHOWN ? `All ${nodes.length} nodes` : "All of them"}
        </Link>
      </header>
      <ul className="overview-nodes">
        {shown.map((node) => (
          <li key={node.id} className="row">
            <Link href={`/ui/nodes/${node.id}`}>{node.name}</Link>
            <StatusBadge status={standing(node)} />
          </li>
        ))}
      </ul>
    </section>
  );
}

import { query } from "@/api/client";
import { StatusBadge } from "@/components/badge";
import { ProblemView } from "@/components/problem-view";
import { Loading } from "@/components/states";
import { plural } from "@/format/format";
import { ViewHead } from "@/layout/frame";
import { useNodes } from "@/live/use-live";

/** The whole pool at a glance. */
export default function Overview() {
  const pool = query.useQuery("get", "/api/pool");
  const nodes = useNodes();
  if (pool.error) return <ProblemView problem={pool.error} command="buildnet pool status" />;
  if (pool.data === undefined) return <Loading what="the pool" />;
  return (
    <>
      <ViewHead title={pool.data.cluster?.name ?? "A node without a cluster"} />
      <section className="card" aria-label="Nodes">
        <p>{plural(nodes.length, "node")}</p>
        <ul>
          {nodes.map((node) => (
            <li key={node.id}>
              {node.name} <StatusBadge status={node.status} />
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

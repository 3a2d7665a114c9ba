import { query } from "@/api/client";
import { useMay } from "@/api/session";
import { useNow } from "@/components/age";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { ViewHead } from "@/layout/frame";
import { usePoolNodes } from "@/live/pool-nodes";
import { useAsOf, useItems } from "@/live/use-live";
import { useRefetchOn, useRefetchOnPool } from "@/live/use-refetch";
import { totals } from "@/pool/totals";
import { Alerts } from "@/views/overview/alert-list";
import { alerts } from "@/views/overview/alerts";
import { Health } from "@/views/overview/health";
import { NodeStrip } from "@/views/overview/node-strip";
import { QuickActions } from "@/views/overview/quick-actions";
import { RecentEvents } from "@/views/overview/recent-events";
import { ResourceTotals } from "@/views/overview/resource-totals";
import { RunningBuilds } from "@/views/overview/running-builds";
import "@/views/overview/overview.css";

/** The whole pool at a glance. */
export default function Overview() {
  const health = query.useQuery("get", "/api/pool/health");
  useRefetchOn("nodes", ["get", "/api/pool/health"]);
  useRefetchOnPool(["get", "/api/pool/health"], "health", "ledger");
  const asOf = useAsOf(health);
  const mayBuilds = useMay("view-builds");
  const letters = query.useQuery("get", "/api/dead-letters", {}, { enabled: mayBuilds });
  useRefetchOnPool(["get", "/api/dead-letters"], "dead_letters");
  const { nodes } = usePoolNodes();
  const queue = useItems("queue");
  const now = useNow();
  const problem = <NotAnswered asked={health} command="buildnet pool health" />;
  if (health.data === undefined)
    return health.error ? problem : <Loading what="the pool" lines={6} />;
  const found = alerts({
    nodes,
    health: health.data,
    healthAt: health.dataUpdatedAt,
    queue,
    letters: letters.data?.letters ?? [],
    now,
  });
  return (
    <>
      <ViewHead title={`Cluster ${health.data.cluster.name}`}>
        <QuickActions />
      </ViewHead>
      {problem}
      <div className="overview">
        <Health health={health.data} nodes={nodes} askedAt={asOf} />
        <ResourceTotals of={totals(nodes)} />
        {found.length > 0 && <Alerts alerts={found} />}
        <div className="stack overview-left">
          {mayBuilds && <RunningBuilds />}
          <NodeStrip nodes={nodes} />
        </div>
        <RecentEvents health={health.data} at={health.dataUpdatedAt} />
      </div>
    </>
  );
}

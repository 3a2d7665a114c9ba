import { lazy, Suspense, useMemo } from "react";
import { query, type Schema } from "@/api/client";
import { Age } from "@/components/age";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { Tabs, useTab } from "@/components/tabs";
import { useFilterInPlace } from "@/components/url-state";
import { byName } from "@/format/format";
import { ViewHead } from "@/layout/frame";
import { usePoolNodes } from "@/live/pool-nodes";
import { useAsOf } from "@/live/use-live";
import { isNoLoad, useRefetchOn, useRefetchOnPool } from "@/live/use-refetch";
import { CompactMatrix } from "@/views/topology/compact-matrix";
import { CIRCLE_UP_TO } from "@/views/topology/layout";
import { Legend } from "@/views/topology/legend";
import { Links } from "@/views/topology/links";
import { Matrix } from "@/views/topology/matrix";
import { NodeLinks } from "@/views/topology/node-links";
import { SlowLinks } from "@/views/topology/slow-links";
import "@/views/topology/topology.css";
import "@/views/topology/matrix.css";

const Graph = lazy(() => import("@/views/topology/graph"));

/** So long nothing is heard of the node only where something is wrong. */
const STALE_MS = 60_000;
const TABLE_UP_TO = 20;
const TABS = [
  ["graph", "Graph"],
  ["matrix", "Matrix"],
] as const;

/** How the nodes are linked: who reaches whom how fast. */
export default function Topology() {
  const pool = query.useQuery("get", "/api/pool");
  useRefetchOn("nodes", ["get", "/api/pool"], isNoLoad);
  useRefetchOnPool(["get", "/api/pool"], "links");
  const asOf = useAsOf(pool);
  const { nodes } = usePoolNodes();
  const tab = useTab(TABS);
  const [selected, select] = useFilterInPlace("node");
  const connections = pool.data?.connections as Schema["Connection"][] | undefined;
  const links = useMemo(
    () => new Links(connections ?? [], pool.dataUpdatedAt),
    [connections, pool.dataUpdatedAt],
  );
  const sorted = useMemo(() => [...nodes].sort((a, b) => byName(a.name, b.name)), [nodes]);
  const problem = <NotAnswered asked={pool} command="buildnet pool status" />;
  if (pool.data === undefined) return pool.error ? problem : <Loading what="the links" lines={6} />;
  const chosen = sorted.find((node) => node.id === selected || node.name === selected);
  return (
    <>
      <ViewHead title="Topology">
        <span className="small">
          as of <Age at={asOf} staleAfterMs={STALE_MS} />
        </span>
      </ViewHead>
      {problem}
      <Tabs label="Shapes of the topology" tabs={TABS} current={tab} />
      <Legend knowBandwidth={links.knowBandwidth} />
      {nodes.length < 2 && (
        <Empty title="There are no links yet">
          <span className="soft">This node is alone: invite others.</span>
        </Empty>
      )}
      {tab === "graph" ? (
        <div className={nodes.length > CIRCLE_UP_TO ? "topology many" : "topology"}>
          <Suspense fallback={<Loading what="the graph" lines={6} />}>
            <Graph nodes={sorted} links={links} selected={chosen?.id ?? ""} onSelect={select} />
          </Suspense>
          <div className="stack topology-side">
            {chosen && <NodeLinks node={chosen} nodes={sorted} links={links} />}
            <SlowLinks nodes={sorted} links={links} />
          </div>
        </div>
      ) : nodes.length <= TABLE_UP_TO ? (
        <Matrix nodes={sorted} links={links} />
      ) : (
        <>
          <CompactMatrix nodes={sorted} links={links} />
          <SlowLinks nodes={sorted} links={links} />
        </>
      )}
    </>
  );
}

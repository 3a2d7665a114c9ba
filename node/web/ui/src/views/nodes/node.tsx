import { Link, useParams } from "wouter";
import { ProblemView } from "@/components/problem-view";
import { Empty, Loading } from "@/components/states";
import { ViewHead } from "@/layout/frame";
import { useSubject } from "@/layout/title";
import { type PoolNode, usePoolNodes } from "@/live/pool-nodes";
import { Benchmarks } from "@/views/nodes/benchmarks";
import { Hardware, Network, Storage } from "@/views/nodes/hardware";
import { History } from "@/views/nodes/history";
import { LiveLoad } from "@/views/nodes/live-load";
import { NodeActions, NotOffered } from "@/views/nodes/node-actions";
import { NodeBadges } from "@/views/nodes/node-words";
import { Programs } from "@/views/nodes/programs";
import { WorksFor } from "@/views/nodes/works-for";
import "@/views/nodes/nodes.css";
import { quoted } from "@/format/shell";

/** One node: what it has, how busy it is and for whom, what became of it, and what to do with it. */
export default function NodeView() {
  const { id } = useParams<{ id: string }>();
  const { nodes, error, isPending, refetch } = usePoolNodes();
  const node = named(nodes, id);
  useSubject(node?.name ?? null);
  if (node === undefined) {
    if (error) {
      return (
        <ProblemView
          problem={error}
          command={`buildnet server show ${quoted(id)}`}
          onRetry={() => refetch()}
        />
      );
    }
    if (isPending) return <Loading what="the node" lines={6} />;
    return (
      <Empty title={`There is no node ${id} in the pool`}>
        <Link href="/ui/nodes">All nodes</Link>
      </Empty>
    );
  }
  return (
    <>
      <p className="small">
        <Link href="/ui/nodes">Nodes</Link> /
      </p>
      <ViewHead
        title={
          <span className="row">
            {node.name} <NodeBadges node={node} />
          </span>
        }
      >
        <NodeActions node={node} />
      </ViewHead>
      <NotOffered node={node} />
      {node.lends_nothing && (
        <div className="notice warn node-notice">
          It takes no new commands of others: {node.lends_nothing}
        </div>
      )}
      <div className="node-page">
        <LiveLoad node={node} />
        <WorksFor node={node} nodes={nodes} />
        <Hardware node={node} />
        <Benchmarks node={node} nodes={nodes} />
        <Storage node={node} />
        <Network node={node} nodes={nodes} />
        <Programs node={node} />
        <History node={node} />
      </div>
    </>
  );
}

/** A node by its id, its name, or the only one whose id begins like that. */
function named(nodes: readonly PoolNode[], wanted: string): PoolNode | undefined {
  const exact = nodes.find((node) => node.id === wanted || node.name === wanted);
  if (exact !== undefined) return exact;
  const begun = nodes.filter((node) => node.id.startsWith(wanted));
  return begun.length === 1 ? begun[0] : undefined;
}

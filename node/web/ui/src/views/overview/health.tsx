import { CircleAlert, CircleCheck, TriangleAlert } from "lucide-react";
import { Link } from "wouter";
import type { Schema } from "@/api/client";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { plural } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { useFeedState } from "@/live/use-live";
import { isThere } from "@/pool/totals";

const STALE_MS = 30_000;

/** How well the cluster is, in words; who coordinates it, and whether a majority is behind that. */
export function Health({
  health,
  nodes,
  askedAt,
}: {
  health: Schema["PoolHealth"];
  nodes: readonly PoolNode[];
  askedAt: number;
}) {
  const { coordinator, quorum, sealing } = health;
  const there = nodes.filter(isThere).length;
  return (
    <section className="card overview-health" aria-label="Health of the cluster">
      <Verdict health={health} missing={nodes.length - there} />
      <dl className="facts">
        <dt>Nodes</dt>
        <dd>
          <Link href="/ui/nodes">
            {there === nodes.length
              ? `${plural(there, "node")}, all there`
              : `${there} of ${plural(nodes.length, "node")} there`}
          </Link>
        </dd>
        <dt>Coordinator</dt>
        <dd data-testid="coordinator">
          {coordinator === null ? (
            <Badge tone="bad">nobody is known to coordinate</Badge>
          ) : (
            <>
              <Link href={`/ui/nodes/${coordinator.node_id}`}>{coordinator.name}</Link>, term{" "}
              {coordinator.term}
            </>
          )}
        </dd>
        <dt>Decisions</dt>
        <dd>
          {coordinator?.quorum ? (
            <Badge tone="good">final</Badge>
          ) : (
            <Badge tone="warn">provisional</Badge>
          )}{" "}
          <span className="soft">{quorum.state}</span>
        </dd>
        <dt>Ledger</dt>
        <dd>{sealingWords(sealing)}</dd>
        <dt>As of</dt>
        <dd>
          <Age at={askedAt} staleAfterMs={STALE_MS} />{" "}
          <span className="soft">
            as seen from {nodes.find((node) => node.id === health.node_id)?.name ?? "this node"}
          </span>
        </dd>
      </dl>
    </section>
  );
}

function Verdict({ health, missing }: { health: Schema["PoolHealth"]; missing: number }) {
  const { status } = useFeedState();
  if (status === "lost" || status === "ended") {
    return (
      <p className="overview-verdict warn">
        <TriangleAlert aria-hidden /> How the cluster is now is not known
      </p>
    );
  }
  // The live nodes tell at once that one is gone; what else is wrong is asked for a moment later.
  if (health.healthy && missing > 0) {
    return (
      <p className="overview-verdict warn">
        <TriangleAlert aria-hidden /> The cluster works, but{" "}
        {plural(missing, "node is", "nodes are")} not there
      </p>
    );
  }
  if (health.healthy) {
    return (
      <p className="overview-verdict good">
        <CircleCheck aria-hidden /> The cluster is well
      </p>
    );
  }
  if (health.coordinator?.quorum) {
    return (
      <p className="overview-verdict warn">
        <TriangleAlert aria-hidden /> The cluster works, but something is wrong
      </p>
    );
  }
  return (
    <p className="overview-verdict bad">
      <CircleAlert aria-hidden /> No majority: what is decided now is provisional
    </p>
  );
}

function sealingWords(sealing: Schema["Sealing"]) {
  if (sealing.height === null) return "this node's ledger is closed";
  const waits = sealing.unsealed ? `, ${plural(sealing.unsealed, "entry", "entries")} wait` : "";
  return (
    <>
      {sealing.works ? "sealed" : "not sealed since"} height {sealing.height}
      {waits}
      {sealing.sealed_at && (
        <>
          {", "}
          <Age at={sealing.sealed_at} />
        </>
      )}
    </>
  );
}

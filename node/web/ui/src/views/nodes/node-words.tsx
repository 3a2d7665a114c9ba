import { Crown } from "lucide-react";
import { Age } from "@/components/age";
import { Badge, StatusBadge } from "@/components/badge";
import { bytes, latency, percent, plural } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { isThere, memoryInUse } from "@/pool/totals";
import { fullestVolume } from "@/views/nodes/node-list";

/** An idle node tells each 30 s: what is older than twice that is stale. */
export const STALE_MS = 60_000;

export function nodePath(node: Pick<PoolNode, "id">): string {
  return `/ui/nodes/${node.id}`;
}

/** What a node is now, in words and pictures: status, drained, coordinator, this one. */
export function NodeBadges({ node }: { node: PoolNode }) {
  return (
    <span className="row tight">
      <StatusBadge status={node.status} />
      {node.draining && <StatusBadge status="drained" />}
      {node.coordinator && (
        <Badge tone="busy">
          <Crown aria-hidden />
          coordinator
        </Badge>
      )}
    </span>
  );
}

/** The round trip from the node whose page this is. */
export function roundTrip(node: PoolNode): string {
  if (node.this_node) return "this node";
  if (node.latency_ms === null) return "unknown";
  return `${node.latency_estimated ? "about " : ""}${latency(node.latency_ms)}`;
}

export function NodeAge({ node }: { node: PoolNode }) {
  return <Age at={node.measuredAt} staleAfterMs={STALE_MS} />;
}

/** Instead of what a node does now, where it can't be asked: since when, and what that means. */
export function NotKnown({ node }: { node: PoolNode }) {
  return (
    <p className="soft">
      Not known: {node.name} is {node.status}, and what it ran for others then runs elsewhere. It
      last told of itself <Age at={node.measuredAt} />.
    </p>
  );
}

export function cpuWords(node: PoolNode): string {
  const share = node.utilization?.cpu_percent;
  const cores = node.resources?.cpu.cores;
  const used = share == null ? "unknown" : `${Math.round(share)} %`;
  if (cores === undefined || !isThere(node)) return used;
  return `${used}, ${node.cores_in_use} of ${plural(cores, "core")} in use by builds`;
}

export function memoryWords(node: PoolNode): string {
  const total = node.resources?.memory.total_bytes;
  if (total === undefined) return "unknown";
  return `${bytes(memoryInUse(node))} of ${bytes(total)}`;
}

export function diskWords(node: PoolNode): string {
  const volume = fullestVolume(node);
  if (volume === null) return "unknown";
  return `${percent(volume.used, volume.total)}, ${bytes(volume.total - volume.used)} free`;
}

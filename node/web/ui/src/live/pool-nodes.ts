import { useState } from "react";
import { query, type Schema } from "@/api/client";
import type { Items } from "@/live/items";
import { useItems } from "@/live/use-live";
import { useRefetchOn } from "@/live/use-refetch";

/** A node with what it has, as GET /api/pool/nodes and the live channels tell it. */
export type PoolNode = Schema["Node"] & {
  /** When its newest figures were measured, in milliseconds since 1970 by this browser's clock. */
  measuredAt: number | null;
};

export type Status = Schema["Node"]["status"];

/** All nodes of the pool, live: asked for once, then as the events tell. */
export function usePoolNodes() {
  const asked = query.useQuery("get", "/api/pool/nodes", {}, { staleTime: 30_000 });
  useRefetchOn("nodes", ["get", "/api/pool/nodes"], (event) => event.type !== "node_status");
  const [merge] = useState(merger);
  const live = useItems("nodes");
  const load = useItems("resources");
  return {
    ...asked,
    nodes: merge(asked.data?.nodes as Asked[] | undefined, asked.dataUpdatedAt, live, load),
  };
}

type Asked = Schema["Node"];

/**
 * Lay what the channels told over what was asked for. A node of which nothing is new stays the same
 * object, so that what shows it need not be drawn again.
 */
export function merger() {
  const kept = new Map<string, { of: readonly unknown[]; node: PoolNode }>();
  let before: PoolNode[] = [];
  return (asked: readonly Asked[] | undefined, askedAt: number, live: Items, load: Items) => {
    const known = new Map(asked?.map((node) => [node.id, node]));
    // Until the first snapshot the channel knows nobody; then whoever it does not know is gone.
    const ids = live.size > 0 ? [...live.keys()] : [...known.keys()];
    const nodes = ids.map((id) => {
      const of = [known.get(id), live.get(id), load.get(id), askedAt];
      const old = kept.get(id);
      if (old?.of.every((part, place) => part === of[place])) return old.node;
      const node = merged(known.get(id), askedAt, live.get(id), load.get(id));
      kept.set(id, { of, node });
      return node;
    });
    for (const id of kept.keys()) if (!ids.includes(id)) kept.delete(id);
    if (nodes.length !== before.length || nodes.some((node, place) => node !== before[place])) {
      before = nodes;
    }
    return before;
  };
}

const NOTHING: Omit<Asked, "id" | "name"> = {
  status: "offline",
  role: "worker",
  coordinator: false,
  rights: "none",
  version: null,
  this_node: false,
  address: null,
  tags: [],
  slots: null,
  benchmark: null,
  measured_at: null,
  age_s: null,
  latency_ms: null,
  latency_estimated: false,
  actions_running: 0,
  cores_in_use: 0,
  draining: false,
  lends_nothing: null,
  builds: 0,
  priority_weight: 1,
  resources: null,
  utilization: null,
};

function merged(
  asked: Asked | undefined,
  askedAt: number,
  live: Record<string, unknown> | undefined,
  load: Record<string, unknown> | undefined,
): PoolNode {
  const node = { ...NOTHING, ...asked, ...live, ...withoutName(load) } as unknown as PoolNode;
  node.measuredAt = measuredAt(node, asked, askedAt);
  return node;
}

function withoutName(load: Record<string, unknown> | undefined) {
  const { name: _, ...rest } = load ?? {};
  return rest;
}

/**
 * The age was told by the clock of the node that was asked. What came since is younger by as much
 * as the measuring node's own clock says: so no two clocks are ever compared.
 */
function measuredAt(node: PoolNode, asked: Asked | undefined, askedAt: number): number | null {
  if (asked?.age_s == null || asked.measured_at === null) return null;
  const before = askedAt - asked.age_s * 1_000;
  const newest = node.utilization?.measured_at;
  if (newest == null || asked.utilization == null) return before;
  return before + Math.max(0, Date.parse(newest) - Date.parse(asked.utilization.measured_at));
}

import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { api } from "@/api/client";
import { type Draft, toDocument } from "@/views/builder/draft";
import { type PlacedFaults, placed } from "@/views/builder/faults";
import type { PoolNode } from "@/views/builder/pool-nodes";

const TYPING_MS = 400;

/** Changes when a node comes, goes, or can or can't be given work. */
export function standingKey(nodes: readonly PoolNode[]): string {
  return nodes.map((node) => `${node.id} ${node.away ?? ""}`).join();
}

/** What something was when it last stood still for a moment. */
function useSettled<Value>(value: Value, ms = TYPING_MS): Value {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

export interface Checked {
  /** The draft that this is about: the one before, while the node is asked about a newer one. */
  readonly draft: Draft;
  readonly faults: PlacedFaults;
}

/** What the node finds wrong with a draft, at the pieces that it is about; null: not known yet. */
export function useChecked(draft: Draft, nodes: readonly PoolNode[]): Checked | null {
  const asked = useSettled(draft);
  const document = toDocument(asked);
  const { data } = useQuery({
    queryKey: ["validated", document, standingKey(nodes)],
    queryFn: async ({ signal }) => {
      const answer = await api.POST("/api/configs/validate", { body: document, signal });
      if (answer.data === undefined) throw new Error("the node says nothing of it");
      return answer.data;
    },
  });
  const found = useMemo(
    () => (data === undefined ? null : { draft: asked, faults: placed(asked, data) }),
    [asked, data],
  );
  // Pieces keep their keys: what was found stays at them until there is news.
  const [last, setLast] = useState<Checked | null>(null);
  if (found !== null && found !== last) setLast(found);
  return found ?? last;
}

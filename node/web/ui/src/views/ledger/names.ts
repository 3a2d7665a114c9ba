import { useMemo } from "react";
import { useItems } from "@/live/use-live";

/** The nodes' names by their ids. */
export function useNodeNames(): ReadonlyMap<string, string> {
  const nodes = useItems("nodes");
  return useMemo(
    () => new Map([...nodes.values()].map((node) => [node.id, String(node.name)])),
    [nodes],
  );
}

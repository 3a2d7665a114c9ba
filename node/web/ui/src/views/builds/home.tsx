import type { Schema } from "@/api/client";
import { useNodes } from "@/live/use-live";
import type { ShownBuild } from "@/views/builds/use-build";

interface Named {
  id: string;
  name: string;
  this_node: boolean;
}

/** The node that a build was asked of, which has its directory. */
export function homeOf(
  { told, live }: Pick<ShownBuild, "told" | "live">,
  nodes: readonly Named[],
): { name: string; isHere: boolean } {
  const id =
    told?.recorded_on?.node_id ??
    (told !== null && "node_id" in told ? (told as Schema["BuildReport"]).node_id : null) ??
    live.begun?.node_id ??
    null;
  const node = nodes.find((one) => (id === null ? one.this_node : one.id === id));
  const name = node?.name ?? told?.recorded_on?.name ?? id ?? "this node";
  return { name, isHere: id === null || node?.this_node === true };
}

/** Ahead of a command that needs a build's directory: on which node there is one. */
export function OnItsNode({ build }: { build: ShownBuild }) {
  const { name, isHere } = homeOf(build, useNodes());
  return isHere ? null : <span className="soft small">On {name}:</span>;
}

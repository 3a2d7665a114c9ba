import type { Session } from "@/api/session";
import type { QueuedBuild } from "@/views/queue/queue-order";

/**
 * Whether somebody may do something with a build: an admin with all, the owner of a node with those
 * that it drives, others with their own. The node decides; what it would refuse is not offered.
 */
export function mayChange(
  build: Pick<QueuedBuild, "actor" | "node_id">,
  session: Pick<Session, "actions" | "actor" | "is_owner" | "node">,
): boolean {
  if (session.actions.includes("manage-nodes")) return true;
  if (!session.actions.includes("cancel-build")) return false;
  return session.is_owner ? build.node_id === session.node.id : build.actor === session.actor;
}

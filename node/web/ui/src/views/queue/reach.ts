import type { Session } from "@/api/session";
import { whoText } from "@/format/who";
import type { QueuedBuild } from "@/views/queue/queue-order";

type Asking = Pick<Session, "actions" | "actor" | "is_owner" | "node">;

/** Whether somebody may change all builds, and their order among all. */
export function isAdmin(session: Asking): boolean {
  return session.actions.includes("manage-nodes");
}

/**
 * Whether somebody may do something with a build: an admin with all, the owner of a node with those
 * that it drives, others with their own. The node decides; what it would refuse is not offered.
 */
export function mayChange(build: Pick<QueuedBuild, "actor" | "node_id">, session: Asking): boolean {
  if (isAdmin(session)) return true;
  if (!session.actions.includes("cancel-build")) return false;
  return session.is_owner ? build.node_id === session.node.id : build.actor === session.actor;
}

/** Which builds somebody may change, for who may not change all; null: they may. */
export function reachWords(session: Asking): string | null {
  if (isAdmin(session)) return null;
  if (!session.actions.includes("cancel-build")) {
    return "You see the queue. Builders change their own builds, admins all.";
  }
  return session.is_owner
    ? `You can change what ${session.node.name} builds, and its order among the builds of the same person; an admin can change all.`
    : `You can change the builds that ${whoText(session.actor)} asked for, and their order among each other; an admin can change all.`;
}

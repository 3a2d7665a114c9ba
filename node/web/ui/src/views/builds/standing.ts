import type { BuildItem, Item } from "@/live/items";

/** Whether a build that has not ended runs, and if not, what it waits for in words. */
export interface Standing {
  state: "running" | "waiting" | "paused";
  why: string | null;
}

/** Whether a build has not ended and does not wait. */
export function isRunning(
  build: Pick<BuildItem, "status" | "waits_for" | "running">,
  queued: Item | undefined,
): boolean {
  return build.status === "running" && standingOf(build, queued).state === "running";
}

/** How a build stands by what is told of it, and of its place in the queue. */
export function standingOf(
  build: Pick<BuildItem, "waits_for" | "running">,
  queued: Item | undefined,
): Standing {
  if (queued?.state === "paused") {
    return { state: "paused", why: typeof queued.reason === "string" ? queued.reason : null };
  }
  if (build.running.length > 0) return { state: "running", why: null };
  if (build.waits_for !== null) return { state: "waiting", why: `for ${build.waits_for}` };
  if (queued?.state === "waiting") return { state: "waiting", why: "until a host has room" };
  return { state: "running", why: null };
}

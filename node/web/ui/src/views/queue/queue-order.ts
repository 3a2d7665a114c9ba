import type { Known, Schema } from "@/api/client";
import type { Items } from "@/live/items";

/** A build of the queue, as the channel `queue` tells it: its item's id is the whole build's. */
export type QueuedBuild = Omit<Known<Schema["QueuedBuild"]>, "build_id"> & { id: string };

/** The queue as a whole. */
export interface QueueHead {
  complete: boolean;
  paused: boolean;
  paused_by: string | null;
  reason: string | null;
}

export interface QueueFilters {
  text: string;
  state: string;
  priority: string;
  node: string;
}

const WHOLE = "queue";
export const PRIORITIES = ["critical", "high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** The queue as a whole; null: its state has not come yet. */
export function headOf(items: Items): QueueHead | null {
  return (items.get(WHOLE) as unknown as QueueHead | undefined) ?? null;
}

/** All builds, who comes next first. */
export function buildsOf(items: Items): QueuedBuild[] {
  return [...items.values()]
    .filter((item) => item.id !== WHOLE)
    .map((item) => item as unknown as QueuedBuild)
    .sort((a, b) => a.place - b.place || a.asked_at - b.asked_at);
}

/**
 * Put in what only a look at the queue tells: estimates and words come with events, but change
 * without any. A look that is older than an event does not count.
 */
export function foretold(
  builds: readonly QueuedBuild[],
  looked: readonly Schema["QueuedBuild"][] | undefined,
): QueuedBuild[] {
  const known = new Map(looked?.map((build) => [build.build_id, build]));
  return builds.map((build) => {
    const found = known.get(build.id);
    if (found === undefined || found.state !== build.state) return build;
    const { words, starts_in_s, ends_in_s } = found;
    return { ...build, words, starts_in_s, ends_in_s };
  });
}

/**
 * Order builds as somebody dragged them. What is not in `order` any more or not yet (it ended, or
 * was asked for, meanwhile) goes out or comes last.
 */
export function arranged(
  builds: readonly QueuedBuild[],
  order: readonly string[] | null,
): readonly QueuedBuild[] {
  if (order === null) return builds;
  const at = new Map(order.map((id, index) => [id, index]));
  const last = order.length;
  return [...builds].sort((a, b) => (at.get(a.id) ?? last) - (at.get(b.id) ?? last));
}

/** The ids after `id` was taken to the index `to`. */
export function taken(ids: readonly string[], id: string, to: number): string[] {
  const others = ids.filter((each) => each !== id);
  return [...others.slice(0, to), id, ...others.slice(to)];
}

/**
 * The place in the whole queue of what was dropped at the index `to` of the builds that are shown:
 * that of the build that stood there. null: nothing changes.
 */
export function placeAt(shown: readonly QueuedBuild[], id: string, to: number): number | null {
  const from = shown.findIndex((build) => build.id === id);
  const there = shown[to];
  if (from < 0 || there === undefined || from === to) return null;
  return there.place;
}

/** The place right behind another build, once `build` is taken out of where it stands. */
export function placeBehind(build: QueuedBuild, other: QueuedBuild): number {
  return other.place > build.place ? other.place : other.place + 1;
}

/** Whether the node has come to know an order: those of it that are still there stand so. */
export function isInOrder(builds: readonly QueuedBuild[], order: readonly string[]): boolean {
  const at = new Map(order.map((id, index) => [id, index]));
  const known = builds.map((build) => at.get(build.id)).filter((index) => index !== undefined);
  return known.every((index, nth) => nth === 0 || (known[nth - 1] ?? -1) < index);
}

export function matching(
  builds: readonly QueuedBuild[],
  { text, state, priority, node }: QueueFilters,
): QueuedBuild[] {
  const wanted = text.trim().toLowerCase();
  return builds.filter(
    (build) =>
      (state === "" || build.state === state) &&
      (priority === "" || build.priority === priority) &&
      (node === "" || build.node === node) &&
      (wanted === "" ||
        [build.workspace, build.actor, build.id, build.node].some((each) =>
          each.toLowerCase().includes(wanted),
        )),
  );
}

/** When a build begins, in words; the node's estimate, or that there is none. */
export function startInWords(build: QueuedBuild, duration: (ms: number) => string): string {
  if (build.state === "running") return "runs";
  if (build.state === "paused") return "once it is resumed";
  if (build.starts_in_s == null) return "unknown";
  return build.starts_in_s < 1 ? "next" : `in about ${duration(build.starts_in_s * 1_000)}`;
}

/** What a build does beyond its state, in words: "on 3 hosts", why it waits, why it is paused. */
export function stateInWords(build: QueuedBuild): string {
  const more = build.words.startsWith(`${build.state} `)
    ? build.words.slice(build.state.length + 1)
    : build.words === build.state
      ? ""
      : build.words;
  const why = more === "" && build.state === "waiting" ? "until a host has room" : more;
  return [why, build.reason].filter(Boolean).join(": ");
}

import type { Known, Schema } from "@/api/client";
import type { Items } from "@/live/items";

/** A build of the queue, as the channel `queue` tells it: its item's id is the whole build's. */
export type QueuedBuild = Omit<Known<Schema["QueuedBuild"]>, "build_id"> & {
  id: string;
  /** When it was told so, in milliseconds since 1970 by this browser's clock. */
  toldAt: number;
};

/** The queue as a whole. */
export interface QueueHead {
  complete: boolean;
  paused: boolean;
  paused_by: string | null;
  reason: string | null;
}

interface QueueFilters {
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

/** All builds, who comes next first. `toldAt`: when an item was told. */
export function buildsOf(items: Items, toldAt: (item: object) => number): QueuedBuild[] {
  return [...items.values()]
    .filter((item) => item.id !== WHOLE)
    .map((item) => ({ ...item, toldAt: toldAt(item) }) as unknown as QueuedBuild)
    .sort((a, b) => a.place - b.place || a.asked_at - b.asked_at);
}

/**
 * Order builds as somebody dragged them, each with the place of where it stands then. What is not in
 * `order` any more or not yet (it ended, or was asked for, meanwhile) goes out or comes last.
 */
export function arranged(
  builds: readonly QueuedBuild[],
  order: readonly string[] | null,
): readonly QueuedBuild[] {
  if (order === null) return builds;
  const at = new Map(order.map((id, index) => [id, index]));
  const last = order.length;
  return [...builds]
    .sort((a, b) => (at.get(a.id) ?? last) - (at.get(b.id) ?? last))
    .map((build, index) => ({ ...build, place: builds[index]?.place ?? build.place }));
}

/**
 * Where a build can be put: the places of those that it can stand before or behind, by their ids, its
 * own among them. A move counts among what who asks may change (`isTheirs`), and there it changes
 * only the order of one person's builds; for an admin (`isAdmin`) the order of all.
 */
export type Places = ReadonlyMap<string, number>;

export function placesFor(
  build: QueuedBuild,
  builds: readonly QueuedBuild[],
  isTheirs: (build: QueuedBuild) => boolean,
  isAdmin: boolean,
): Places {
  const counted = builds.filter(isTheirs).map((each, index) => [each, index + 1] as const);
  return new Map(
    counted
      .filter(([each]) => isAdmin || each.actor === build.actor)
      .map(([each, place]) => [each.id, place]),
  );
}

/** The ids of all builds once one of them was put at a place, as the node will tell them. */
export function movedTo(
  builds: readonly QueuedBuild[],
  id: string,
  place: number,
  places: Places,
): string[] {
  const own = places.get(id) ?? 0;
  const order = builds.map((build) => build.id).filter((each) => each !== id && places.has(each));
  const isAhead = (each: string) => {
    const at = places.get(each) ?? 0;
    return (at > own ? at - 1 : at) < place;
  };
  order.splice(order.filter(isAhead).length, 0, id);
  return builds.map((build) => (places.has(build.id) ? (order.shift() ?? build.id) : build.id));
}

/**
 * The place of what was dropped at the index `to` of the builds that are shown: that of the build
 * that stood there, or of the next one on the way to it that it can be put beside. null: nothing
 * changes.
 */
export function placeAt(
  shown: readonly QueuedBuild[],
  id: string,
  to: number,
  places: Places,
): number | null {
  const from = shown.findIndex((build) => build.id === id);
  if (from < 0 || shown[to] === undefined) return null;
  const back = to < from ? 1 : -1;
  for (let at = to; at !== from; at += back) {
    const place = places.get(shown[at]?.id ?? "");
    if (place !== undefined) return place;
  }
  return null;
}

/** The next place above (-1) or below (1) of those that are shown; past them, the next. null: none. */
export function placeBeside(
  shown: readonly QueuedBuild[],
  index: number,
  step: -1 | 1,
  places: Places,
): number | null {
  const build = shown[index];
  const own = build && places.get(build.id);
  if (own === undefined) return null;
  const ahead = step === 1 ? shown.slice(index + 1) : shown.slice(0, index).reverse();
  const next = ahead.find((each) => places.has(each.id));
  if (next !== undefined) return places.get(next.id) ?? null;
  const beyond = [...places.values()].filter((place) => (place - own) * step > 0);
  if (beyond.length === 0) return null;
  return step === 1 ? Math.min(...beyond) : Math.max(...beyond);
}

/** The place right behind another build, once `id` is taken out of where it stands. */
export function placeBehind(id: string, other: string, places: Places): number {
  const [own, place] = [places.get(id) ?? 0, places.get(other) ?? 0];
  return place > own ? place : place + 1;
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

/** Who would have been next by now waits for a command that takes longer than it did. */
const SOON_MS = 3_000;

/** When a build begins, in words; the node's estimate, or that there is none. */
export function startInWords(
  build: QueuedBuild,
  now: number,
  duration: (ms: number) => string,
): string {
  if (build.state === "paused") return "once it is resumed";
  const left = leftMs(build.starts_in_s, build.toldAt, now);
  if (left === null) return "unknown";
  return left < SOON_MS ? "once a place is free" : `in about ${duration(left)}`;
}

/** When a build ends, in words. */
export function endInWords(
  build: QueuedBuild,
  now: number,
  duration: (ms: number) => string,
): string {
  const left = leftMs(build.ends_in_s, build.toldAt, now);
  if (left === null) return "unknown";
  return left < 1_000 ? "any moment" : `in about ${duration(left)}`;
}

/** What is left of a time that was told, counted down in whole seconds. */
function leftMs(seconds: number | null, toldAt: number, now: number): number | null {
  if (seconds === null) return null;
  const left = Math.max(0, seconds * 1_000 - Math.max(0, now - toldAt));
  return left < 1_000 ? left : Math.round(left / 1_000) * 1_000;
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

import type { Schema } from "@/api/client";
import { type BuildTask, type Names, nodeName, type Report } from "@/views/builds/tasks";

/** One part of a task's time, in milliseconds since the build's beginning. */
export interface Part {
  name: PartName;
  from: number;
  to: number;
}

export const PART_NAMES = [
  "queue",
  "lookup",
  "restore",
  "transfer",
  "staging",
  "execution",
  "upload",
] as const;
export type PartName = (typeof PART_NAMES)[number];

export interface Bar {
  /** The task, or `core#test 1/2` of a shard. */
  key: string;
  state: BuildTask["state"];
  node: string;
  from: number;
  to: number;
  parts: readonly Part[];
  /** It runs still: where it ends is not known. */
  open: boolean;
  critical: boolean;
  row: number;
}

export interface Rows {
  /** What stands beside each row; "" where it is one more slot of the same node. */
  labels: string[];
  bars: Bar[];
  end: number;
}

type Timeline = NonNullable<Schema["PackageReport"]["timeline"]>;
const LOOK_UPS = "looked up";
const NOT_WORK = new Set<string>(["queue", "lookup"]);

/**
 * Lay tasks into rows: each node has as many as tasks overlapped there, as its slots are not told
 * apart. What was only looked up shares one row. `began`: of the build, in unix milliseconds.
 */
export function rowsOf(
  tasks: readonly BuildTask[],
  began: number,
  now: number,
  critical: ReadonlySet<string>,
  names: Names,
): Rows {
  const bars: Bar[] = [];
  for (const task of tasks) {
    if (task.state === "running" && task.since !== null)
      bars.push(running(task, began, now, names));
    if (task.report !== null) bars.push(...recorded(task, task.report, began, critical, names));
  }
  bars.sort((a, b) => a.from - b.from || a.key.localeCompare(b.key));
  const groups = new Map<string, Bar[]>();
  for (const bar of bars) {
    const name = bar.parts.every((part) => part.name === "lookup") ? LOOK_UPS : bar.node;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [bar]);
    else group.push(bar);
  }
  const labels: string[] = [];
  const order = [...groups].sort(
    ([a], [b]) => Number(a === LOOK_UPS) - Number(b === LOOK_UPS) || a.localeCompare(b),
  );
  for (const [name, group] of order) {
    const first = labels.length;
    const free: number[] = [];
    for (const bar of group) {
      const from = workFrom(bar);
      let slot = name === LOOK_UPS ? 0 : free.findIndex((until) => until <= from + 0.01);
      if (slot < 0) slot = free.length;
      free[slot] = Math.max(free[slot] ?? 0, bar.to);
      bar.row = first + slot;
    }
    for (let slot = 0; slot < free.length; slot += 1) labels.push(slot === 0 ? name : "");
  }
  return { labels, bars, end: Math.max(1, ...bars.map((bar) => bar.to)) };
}

/** When it began to take a place. */
function workFrom(bar: Bar): number {
  return bar.parts.find((part) => !NOT_WORK.has(part.name))?.from ?? bar.from;
}

function running(task: BuildTask, began: number, now: number, names: Names): Bar {
  const from = Math.max(0, (task.since ?? now) - began);
  const to = Math.max(from + 1, now - began);
  return {
    key: task.key,
    state: "running",
    node: nodeName(task.report, task.node, names),
    from,
    to,
    parts: [{ name: "execution", from, to }],
    open: true,
    critical: false,
    row: 0,
  };
}

function recorded(
  task: BuildTask,
  report: Report,
  began: number,
  critical: ReadonlySet<string>,
  names: Names,
): Bar[] {
  const whole = {
    key: task.key,
    timeline: report.timeline ?? null,
    node: report.node,
    name: report.node_name,
  };
  const shards = (report.shards ?? []).map((shard) => ({
    key: `${task.name}#${task.task} ${shard.shard}`,
    timeline: shard.timeline,
    node: shard.node,
    name: shard.node_name,
  }));
  return [whole, ...shards].flatMap(({ key, timeline, node, name }) => {
    const parts = timeline === null ? [] : partsOf(timeline, began);
    const [first] = parts;
    const last = parts.at(-1);
    if (first === undefined || last === undefined) return [];
    return [
      {
        key,
        state: task.state,
        node: name ?? names.get(node) ?? node.slice(0, 12),
        from: first.from,
        to: last.to,
        parts,
        open: false,
        critical: critical.has(key),
        row: 0,
      },
    ];
  });
}

function partsOf(timeline: Timeline, began: number): Part[] {
  const start = timeline.began_ns / 1e6 - began;
  return timeline.parts.map((part) => ({
    name: part.name as PartName,
    from: start + part.at_ms,
    to: start + part.at_ms + part.took_ms,
  }));
}

import type { Request } from "@/views/builds/commands";
import { type BuildTask, keyOf, type Report, taskOf } from "@/views/builds/tasks";

/** What the events of one build tell, taken together. */
export interface LiveBuild {
  /** Its first event: what the build is. */
  begun: Begun | null;
  tasks: ReadonlyMap<string, BuildTask>;
  /** Tasks in all; null: not known yet. */
  total: number | null;
  /** How many stand as before without being named one by one. */
  standing: number;
  phase: string | null;
  waitsFor: string | null;
  notices: readonly string[];
  /** The first one, by which the build is measured. */
  expected: Estimate | null;
  /** By the latest one, how long it takes in all, in milliseconds. */
  nowExpectedMs: number | null;
  /** Of a build that is over. */
  ended: Ended | null;
}

export interface Estimate {
  estimated_ms: number;
  interval_ms: [number, number];
  confidence: number;
  confidence_level: string;
}

interface Begun {
  build_id: string;
  workspace: string;
  root: string;
  dry_run: boolean;
  started_at: number;
  node_id: string;
  triggered_by: string;
  request: Request;
}

interface Ended {
  status: string;
  duration_ms: number | null;
  packages: Report[];
}

export type BuildEvent = { type: string } & Record<string, unknown>;

export const NOTHING_YET: LiveBuild = {
  begun: null,
  tasks: new Map(),
  total: null,
  standing: 0,
  phase: null,
  waitsFor: null,
  notices: [],
  expected: null,
  nowExpectedMs: null,
  ended: null,
};

/** What is known after these events; the map of tasks is copied once for all of them. */
export function after(build: LiveBuild, events: readonly BuildEvent[]): LiveBuild {
  const tasks = new Map(build.tasks);
  let now: LiveBuild = { ...build, tasks };
  for (const event of events) now = { ...now, ...change(now, event, tasks) };
  return now;
}

function change(
  build: LiveBuild,
  event: BuildEvent,
  tasks: Map<string, BuildTask>,
): Partial<LiveBuild> {
  switch (event.type) {
    case "build_started":
      // Also told again by the node that goes on with a build of one that was lost.
      return { begun: event as unknown as Begun, total: event.tasks as number };
    case "phase":
      return { phase: event.phase as string };
    case "waiting":
      return { waitsFor: event.for as string };
    case "resumed":
      return { waitsFor: null };
    case "notice":
      return { notices: [...build.notices, event.text as string] };
    case "estimate":
      return {
        expected: build.expected ?? (event as unknown as Estimate),
        nowExpectedMs: event.estimated_ms as number,
      };
    case "tasks_up_to_date":
      for (const key of event.tasks as string[]) tasks.set(key, standing(key));
      return {
        standing: build.standing + (event.count as number) - (event.tasks as string[]).length,
      };
    case "task_started": {
      const name = event.name as string;
      const task = event.task as string;
      const key = keyOf(name, task);
      if (isShard(task)) return {};
      tasks.set(key, {
        ...(tasks.get(key) ?? { key, name, task, report: null, needs: [] }),
        state: "running",
        node: (event.node as string | undefined) ?? null,
        since: event.at === undefined ? null : (event.at as number) * 1000,
      });
      return { waitsFor: null };
    }
    case "task_finished": {
      const report = event as unknown as Report;
      if (isShard(report.task)) return {};
      const task = taskOf(report);
      tasks.set(task.key, { ...task, since: tasks.get(task.key)?.since ?? null });
      return {};
    }
    case "build_finished": {
      const report = event.report as Ended;
      for (const one of report.packages) {
        const task = taskOf(one);
        tasks.set(task.key, { ...task, since: tasks.get(task.key)?.since ?? null });
      }
      return { ended: report, waitsFor: null };
    }
    default:
      return {};
  }
}

function isShard(task: string): boolean {
  return / \d+\/\d+$/.test(task);
}

function standing(key: string): BuildTask {
  const [name = key, task = "build"] = key.split("#", 2);
  return { key, name, task, state: "unchanged", node: null, since: null, report: null, needs: [] };
}

/** How many tasks are through. */
export function doneOf(build: LiveBuild): number {
  let done = build.standing;
  for (const task of build.tasks.values()) {
    if (task.state !== "running" && task.state !== "waiting") done += 1;
  }
  return done;
}

import type { Schema } from "@/api/client";
import type { GraphPackage, GraphState } from "@/components/package-graph/shape";

export type Report = Schema["PackageReport"];

/** A task of a build, however far it is. */
export interface BuildTask {
  /** `core`, or `core#test` for another task than the build. */
  key: string;
  name: string;
  task: string;
  state: GraphState;
  /** Id of the node where it runs or ran; null: it is nowhere yet. */
  node: string | null;
  /** Unix milliseconds since when it runs. */
  since: number | null;
  report: Report | null;
  needs: readonly string[];
}

/** Which state tells more: of a package whose tasks differ, and in a list. */
export const ORDER: readonly GraphState[] = [
  "failed",
  "running",
  "cancelled",
  "skipped",
  "waiting",
  "planned",
  "built",
  "cached",
  "unchanged",
  "idle",
];
const TIERS: Record<string, GraphState> = {
  full: "built",
  incremental: "built",
  "local-cache": "cached",
  "pool-cache": "cached",
  "instant-skip": "unchanged",
  "hash-skip": "unchanged",
};

/** What the tiers are called in front of people. */
export const TIER_WORDS: Record<string, string> = {
  full: "built",
  incremental: "built in part",
  "local-cache": "from this node's cache",
  "pool-cache": "from another node's cache",
  "instant-skip": "as before",
  "hash-skip": "touched, but the same",
};

/** What came of a task; "": nothing yet. A command that ran and failed built nothing. */
export function resultWords(one: { status: string; tier: string | null }): string {
  if (one.status === "failed" || one.status === "cancelled") return one.status;
  return one.tier === null ? "" : (TIER_WORDS[one.tier] ?? one.tier);
}

export function keyOf(name: string, task: string): string {
  return task === "build" ? name : `${name}#${task}`;
}

function stateOf(report: Report): GraphState {
  if (report.plan === "run") return "planned";
  if (report.plan === "restore") return "cached";
  if (report.plan === "nothing") return "unchanged";
  if (report.status === "succeeded") return TIERS[report.tier ?? "full"] ?? "built";
  if (report.status === "failed" || report.status === "cancelled") return report.status;
  return "skipped";
}

export function taskOf(report: Report): BuildTask {
  return {
    key: keyOf(report.name, report.task),
    name: report.name,
    task: report.task,
    state: stateOf(report),
    node: report.node,
    since: null,
    report,
    needs: report.depends_on ?? [],
  };
}

/** The packages of tasks, for the graph: each with what its tasks need of others. */
export function packagesOf(
  tasks: Iterable<BuildTask>,
  paths: ReadonlyMap<string, string | null>,
): GraphPackage[] {
  const found = new Map<string, { states: Set<GraphState>; needs: Set<string> }>();
  for (const task of tasks) {
    let one = found.get(task.name);
    if (one === undefined) {
      one = { states: new Set(), needs: new Set() };
      found.set(task.name, one);
    }
    one.states.add(task.state);
    for (const need of task.needs) {
      const name = need.split("#", 1)[0] ?? need;
      if (name !== task.name) one.needs.add(name);
    }
  }
  // In an order that does not hang on who told of a task first: another one is another drawing.
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, { states, needs }]) => ({
      id,
      state: ORDER.find((state) => states.has(state)) ?? "idle",
      path: paths.get(id) ?? null,
      needs: [...needs].filter((need) => found.has(need)).sort(),
    }));
}

export function nodeName(report: Report | null, node: string | null, names: Names): string {
  if (node === null) return "";
  return report?.node_name ?? names.get(node) ?? node.slice(0, 12);
}

/** Names of nodes by their id. */
export type Names = ReadonlyMap<string, string>;

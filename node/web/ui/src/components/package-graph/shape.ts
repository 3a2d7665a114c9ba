/** What of a graph of packages is shown: collapsed, grouped, or one package's relatives alone. */

import { seen } from "@/format/seen";

export type GraphState =
  | "waiting"
  | "running"
  | "built"
  | "cached"
  | "unchanged"
  | "failed"
  | "skipped"
  | "cancelled"
  | "planned"
  | "idle";

export interface GraphPackage {
  id: string;
  state: GraphState;
  /** Where it is in the workspace; null: not known. */
  path: string | null;
  /** What it needs, directly. */
  needs: readonly string[];
}

interface Wishes {
  /** Packages of which what they alone need is hidden. */
  collapsed: ReadonlySet<string>;
  /** null: no groups; else the directories that stand open. */
  open: ReadonlySet<string> | null;
  /** The package of which only the relatives are shown. */
  focus: string | null;
}

export interface ShownNode {
  id: string;
  label: string;
  state: GraphState;
  /** Packages that it stands for, where it is a directory. */
  members: readonly string[] | null;
  /** How many that it needs are hidden. */
  hidden: number;
  /** The directory that stands open around it, and can be closed; null: none does. */
  within: string | null;
}

export interface Shown {
  nodes: ShownNode[];
  /** Pairs: what is needed, and who needs it. */
  edges: (readonly [string, string])[];
}

const DIRECTORY = "dir:";
/** What a directory is told as: the first of these that one of its packages is in. */
const MOST_TELLING: readonly GraphState[] = [
  "failed",
  "running",
  "cancelled",
  "skipped",
  "waiting",
  "planned",
  "built",
  "cached",
  "unchanged",
];

export function shown(packages: readonly GraphPackage[], wishes: Wishes): Shown {
  const all = new Map(packages.map((one) => [one.id, one]));
  const within = wishes.focus === null ? null : relatives(all, wishes.focus);
  const kept = reached(all, wishes.collapsed, within);
  const standsFor = new Map<string, string>();
  const groups = new Map<string, GraphPackage[]>();
  const nodes: ShownNode[] = [];
  for (const one of kept) {
    const directory = directoryOf(one.path);
    if (wishes.open !== null && !wishes.open.has(directory)) {
      standsFor.set(one.id, DIRECTORY + directory);
      const group = groups.get(directory);
      if (group === undefined) groups.set(directory, [one]);
      else group.push(one);
    } else {
      standsFor.set(one.id, one.id);
      nodes.push({
        id: one.id,
        label: seen(one.id),
        state: one.state,
        members: null,
        hidden: wishes.collapsed.has(one.id) ? one.needs.filter((id) => !kept.has(id)).length : 0,
        within: wishes.open === null ? null : directory,
      });
    }
  }
  for (const [directory, members] of groups) nodes.push(groupNode(directory, members));
  return { nodes, edges: edgesOf(kept, standsFor) };
}

/** The directory that a package is grouped under: the one that its own lies in. */
export function directoryOf(path: string | null): string {
  if (path === null) return "elsewhere";
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : path.slice(0, end);
}

/** A directory as people read it. */
export function directoryWords(directory: string): string {
  return directory === "." ? "at the root" : `${directory}/`;
}

/** A package with all that it needs and all that needs it, however far away. */
function relatives(all: ReadonlyMap<string, GraphPackage>, id: string): Set<string> {
  const needs = (one: string) => all.get(one)?.needs ?? [];
  const neededBy = dependents(all.values());
  const found = follow([id], needs);
  for (const one of follow([id], (each) => neededBy.get(each) ?? [])) found.add(one);
  return found;
}

export function dependents(packages: Iterable<GraphPackage>): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const one of packages) {
    for (const need of one.needs) {
      const known = found.get(need);
      if (known === undefined) found.set(need, [one.id]);
      else known.push(one.id);
    }
  }
  return found;
}

class Kept {
  constructor(
    private readonly all: ReadonlyMap<string, GraphPackage>,
    private readonly ids: ReadonlySet<string>,
  ) {}

  has(id: string): boolean {
    return this.ids.has(id);
  }

  *[Symbol.iterator](): Iterator<GraphPackage> {
    for (const one of this.all.values()) if (this.ids.has(one.id)) yield one;
  }
}

/** What is left: all that is reached from packages that nobody needs, not beyond collapsed ones. */
function reached(
  all: ReadonlyMap<string, GraphPackage>,
  collapsed: ReadonlySet<string>,
  within: ReadonlySet<string> | null,
): Kept {
  const inside = (id: string) => all.has(id) && (within === null || within.has(id));
  if (collapsed.size === 0) return new Kept(all, within ?? new Set(all.keys()));
  const neededBy = dependents(all.values());
  const ends = [...all.keys()].filter(
    (id) => inside(id) && !(neededBy.get(id) ?? []).some((one) => inside(one)),
  );
  const found = follow(ends, (id) =>
    collapsed.has(id) ? [] : (all.get(id)?.needs ?? []).filter(inside),
  );
  return new Kept(all, found);
}

function follow(from: readonly string[], next: (id: string) => readonly string[]): Set<string> {
  const found = new Set(from);
  const waiting = [...from];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    for (const one of next(id)) {
      if (!found.has(one)) {
        found.add(one);
        waiting.push(one);
      }
    }
  }
  return found;
}

function groupNode(directory: string, members: readonly GraphPackage[]): ShownNode {
  const states = new Set(members.map((one) => one.state));
  return {
    id: DIRECTORY + directory,
    label: `${seen(directoryWords(directory))} (${members.length})`,
    state: MOST_TELLING.find((state) => states.has(state)) ?? "idle",
    members: members.map((one) => one.id),
    hidden: 0,
    within: null,
  };
}

function edgesOf(
  kept: Iterable<GraphPackage>,
  standsFor: ReadonlyMap<string, string>,
): (readonly [string, string])[] {
  const found = new Map<string, readonly [string, string]>();
  for (const one of kept) {
    const to = standsFor.get(one.id);
    for (const need of one.needs) {
      const from = standsFor.get(need);
      if (from !== undefined && to !== undefined && from !== to) {
        found.set(`${from}\n${to}`, [from, to]);
      }
    }
  }
  return [...found.values()];
}

export function directoryOfNode(id: string): string | null {
  return id.startsWith(DIRECTORY) ? id.slice(DIRECTORY.length) : null;
}

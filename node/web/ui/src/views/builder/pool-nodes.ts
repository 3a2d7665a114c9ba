import type { Schema } from "@/api/client";
import { byName } from "@/format/format";
import { disksOf } from "@/pool/totals";

export const GIB = 1024 ** 3;

/** A node as the builder sees it: what it has, and what of it is free now; null: not known. */
export interface PoolNode {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly thisNode: boolean;
  /** Why it can't be given work now; null: it can. */
  readonly away: string | null;
  readonly cores: number | null;
  readonly freeCores: number | null;
  readonly memoryGb: number | null;
  readonly freeMemoryGb: number | null;
  readonly volumes: readonly PoolVolume[];
  readonly tools: readonly PoolProgram[];
  readonly runtimes: readonly PoolProgram[];
}

interface PoolVolume {
  readonly path: string;
  /** Of the volume that it is on: directories of one have its space together. */
  readonly mountPoint: string;
  readonly storageClass: string;
  readonly freeGb: number | null;
  readonly totalGb: number | null;
}

interface PoolProgram {
  readonly name: string;
  readonly version: string | null;
}

/** The nodes of the pool, by their names. */
export function poolNodes(nodes: readonly Schema["Node"][]): PoolNode[] {
  return nodes.map(poolNode).sort((a, b) => byName(a.name, b.name));
}

function poolNode(node: Schema["Node"]): PoolNode {
  const has = node.resources;
  const cores = has?.cpu.cores ?? null;
  const percent = node.utilization?.memory_percent;
  const memory = has?.memory.total_bytes;
  const free =
    memory != null && percent != null
      ? memory * (1 - percent / 100)
      : (has?.memory.available_bytes ?? null);
  return {
    id: node.id,
    name: node.name,
    status: node.status,
    thisNode: node.this_node,
    away: whyAway(node),
    cores,
    freeCores: cores === null ? null : Math.max(0, cores - node.cores_in_use),
    memoryGb: memory == null ? null : memory / GIB,
    freeMemoryGb: free === null ? null : free / GIB,
    volumes: disksOf(node).map(({ path, storage_class, total_bytes, available, mount_point }) => ({
      path,
      mountPoint: mount_point,
      storageClass: storage_class ?? "unknown",
      freeGb: available === null ? null : available / GIB,
      totalGb: total_bytes == null ? null : total_bytes / GIB,
    })),
    tools: programs(has?.tools),
    runtimes: programs(has?.runtimes),
  };
}

function whyAway(node: Schema["Node"]): string | null {
  if (node.status !== "online" && node.status !== "busy") return `${node.name} is ${node.status}`;
  if (node.role !== "worker") return `${node.name} only watches`;
  if (node.resources === null) return `it is not known yet what ${node.name} has`;
  return null;
}

function programs(found: readonly Schema["Program"][] | undefined): PoolProgram[] {
  return (found ?? [])
    .filter((program) => program.problem == null)
    .map((program) => ({ name: program.name, version: program.version ?? null }));
}

/** The node that a configuration names: by its name, its id, or `local`. */
export function nodeCalled(nodes: readonly PoolNode[], name: string): PoolNode | undefined {
  return nodes.find((node) =>
    name === "local" ? node.thisNode : node.name === name || node.id === name,
  );
}

/** What a configuration calls a node: its name, unless two have it. */
export function callOf(nodes: readonly PoolNode[], node: PoolNode): string {
  return nodes.filter((each) => each.name === node.name).length === 1 ? node.name : node.id;
}

export interface OfferedProgram {
  readonly kind: "tool" | "runtime";
  readonly name: string;
  readonly versions: readonly string[];
  /** Names of the nodes that have it and can be given work. */
  readonly nodes: readonly string[];
}

const OFFERED = new WeakMap<readonly PoolNode[], readonly OfferedProgram[]>();

/** All tools and runtimes of the pool, each once; each piece asks for them. */
export function offeredPrograms(nodes: readonly PoolNode[]): readonly OfferedProgram[] {
  let found = OFFERED.get(nodes);
  if (found === undefined) {
    found = offered(nodes);
    OFFERED.set(nodes, found);
  }
  return found;
}

function offered(nodes: readonly PoolNode[]): OfferedProgram[] {
  const found = new Map<
    string,
    { kind: "tool" | "runtime"; name: string; on: [string, string][] }
  >();
  for (const node of nodes) {
    if (node.away !== null) continue;
    for (const [kind, programs] of [
      ["tool", node.tools],
      ["runtime", node.runtimes],
    ] as const) {
      for (const { name, version } of programs) {
        const one = found.get(`${kind} ${name}`) ?? { kind, name, on: [] };
        one.on.push([version ?? "", node.name]);
        found.set(`${kind} ${name}`, one);
      }
    }
  }
  return [...found.values()]
    .map(({ kind, name, on }) => ({
      kind,
      name,
      versions: [...new Set(on.map(([version]) => version).filter(Boolean))].sort((a, b) =>
        byName(b, a),
      ),
      nodes: [...new Set(on.map(([, node]) => node))],
    }))
    .sort((a, b) => a.name.localeCompare(b.name) || a.kind.localeCompare(b.kind));
}

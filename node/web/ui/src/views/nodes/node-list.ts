import type { Column } from "@/components/table";
import type { PoolNode } from "@/live/pool-nodes";
import { memoryInUse, volumes } from "@/pool/totals";

interface NodeFilter {
  text: string;
  status: string;
  role: string;
  tag: string;
  /** The name of a tool or runtime that it has to have. */
  tool: string;
}

/** The nodes that fit all filters; "" fits all. */
export function fitting(nodes: readonly PoolNode[], filter: NodeFilter): PoolNode[] {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  return nodes.filter(
    (node) =>
      words.every((word) => textOf(node).includes(word)) &&
      (filter.status === "" ||
        (filter.status === "drained" ? node.draining : node.status === filter.status)) &&
      (filter.role === "" || node.role === filter.role) &&
      (filter.tag === "" || node.tags.includes(filter.tag)) &&
      (filter.tool === "" || programs(node).some((program) => program.name === filter.tool)),
  );
}

function textOf(node: PoolNode): string {
  const { resources } = node;
  return [
    node.name,
    node.id,
    node.address,
    node.rights,
    resources?.cpu.model,
    resources?.system.name,
    ...node.tags,
  ]
    .join(" ")
    .toLowerCase();
}

/** Tools and runtimes of a node that work there. */
export function programs(node: PoolNode) {
  const { resources } = node;
  return [...(resources?.tools ?? []), ...(resources?.runtimes ?? [])].filter(
    (program) => program.problem == null,
  );
}

/** What the filters have to choose from. */
export function choices(nodes: readonly PoolNode[]): { tags: string[]; tools: string[] } {
  return {
    tags: [...new Set(nodes.flatMap((node) => node.tags))].sort(),
    tools: [
      ...new Set(nodes.flatMap((node) => programs(node).map((program) => program.name))),
    ].sort(),
  };
}

const CONCERN = { online: 0, busy: 1, left: 4, suspect: 5, offline: 8 };

/** How much a node is to be looked at: more for one that is missing. */
export function inConcern(node: PoolNode): number {
  return CONCERN[node.status] + (node.draining ? 2 : 0);
}

/** How full the fullest volume of a node is. */
export function fullestVolume(node: PoolNode) {
  return volumes(node).reduce<ReturnType<typeof volumes>[number] | null>(
    (fullest, volume) =>
      fullest === null || volume.used / volume.total > fullest.used / fullest.total
        ? volume
        : fullest,
    null,
  );
}

/** By what nodes are sorted, as cards and in the table; what is unknown comes last. */
export const ORDERS: readonly (Required<Pick<Column<PoolNode>, "name" | "sort">> & {
  words: string;
})[] = [
  { name: "name", words: "name", sort: (node) => node.name },
  { name: "status", words: "status", sort: (node) => -inConcern(node) },
  { name: "cpu", words: "CPU", sort: (node) => node.utilization?.cpu_percent },
  { name: "memory", words: "memory in use", sort: memoryInUse },
  {
    name: "disk",
    words: "fullest disk",
    sort: (node) => {
      const volume = fullestVolume(node);
      return volume && volume.used / volume.total;
    },
  },
  { name: "cores", words: "cores", sort: (node) => node.resources?.cpu.cores },
  { name: "latency", words: "round trip", sort: (node) => (node.this_node ? 0 : node.latency_ms) },
  { name: "speed", words: "speed", sort: (node) => node.benchmark?.cpu_units },
  { name: "age", words: "age of the data", sort: (node) => node.measuredAt && -node.measuredAt },
];

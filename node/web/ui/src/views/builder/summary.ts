import type { Known, Schema } from "@/api/client";
import type { Draft } from "@/views/builder/draft";
import { coresOf, memoryOf } from "@/views/builder/edits";
import { nodeCalled, type PoolNode } from "@/views/builder/pool-nodes";

/** How much of the pool is chosen; `chosen` null: all that is free of it. */
interface Shares {
  readonly cores: Share;
  readonly memoryGb: Share;
  readonly diskGb: Share;
}

export interface Share {
  readonly chosen: number | null;
  readonly of: number;
}

/** What of all nodes that can be given work a draft takes. */
export function sharesOf(draft: Draft, nodes: readonly PoolNode[]): Shares {
  const usable = nodes.filter((node) => node.away === null);
  const sum = (amount: (node: PoolNode) => number | null) =>
    usable.reduce((total, node) => total + (amount(node) ?? 0), 0);
  const wholeNodes = draft.cpu.pieces
    .filter((piece) => piece.cores === 0 && piece.specific.length === 0)
    .reduce((total, piece) => total + (nodeCalled(nodes, piece.node)?.cores ?? 0), 0);
  const named = coresOf(draft) + wholeNodes;
  const besides = draft.cpu.total > 0 ? 0 : (askedBesides(draft, nodes)?.cores ?? 0);
  return {
    cores: {
      chosen: Math.max(draft.cpu.total, named + besides) || null,
      of: sum((node) => node.cores),
    },
    memoryGb: {
      chosen: Math.max(draft.memory.total, memoryOf(draft)) || null,
      of: sum((node) => node.memoryGb),
    },
    diskGb: {
      chosen: draft.volumes.reduce((total, piece) => total + piece.gb, 0),
      of: sum(freeDisk),
    },
  };
}

/** What is free of a node's disks: directories of one volume have its space together. */
function freeDisk(node: PoolNode): number {
  const free = new Map<string, number>();
  for (const { mountPoint, freeGb } of node.volumes) {
    free.set(mountPoint, Math.max(free.get(mountPoint) ?? 0, freeGb ?? 0));
  }
  return [...free.values()].reduce((total, gb) => total + gb, 0);
}

/**
 * The asked node, where a draft names cores of others alone: it takes part all the same, with `cores`,
 * of all that are used at once where the draft says how many those are. null: that is not so.
 */
export function askedBesides(
  draft: Draft,
  nodes: readonly PoolNode[],
): { node: PoolNode; cores: number | null } | null {
  const node = nodes.find((each) => each.thisNode);
  if (node === undefined || node.away !== null || draft.cpu.pieces.length === 0) return null;
  if (draft.cpu.pieces.some((piece) => nodeCalled(nodes, piece.node) === node)) return null;
  const free = node.freeCores;
  const { total } = draft.cpu;
  return { node, cores: free !== null && total > 0 ? Math.min(free, total) : free };
}

/** The nodes that a draft names, each once. */
export function chosenNodes(draft: Draft, nodes: readonly PoolNode[]): PoolNode[] {
  const names = [...draft.cpu.pieces, ...draft.memory.pieces, ...draft.volumes];
  const found = new Set(names.map((piece) => nodeCalled(nodes, piece.node)));
  return nodes.filter((node) => found.has(node));
}

export type Connection = Known<Schema["Connection"]>;

/** The link between two nodes; each pair is told once. */
export function linkOf(
  connections: readonly Connection[],
  one: string,
  other: string,
): Connection | undefined {
  return connections.find(
    ({ from_node, to_node }) =>
      (from_node === one && to_node === other) || (from_node === other && to_node === one),
  );
}

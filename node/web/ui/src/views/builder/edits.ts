import type { Draft, ProgramPiece, VolumePiece } from "@/views/builder/draft";
import { PURPOSES } from "@/views/builder/draft";
import { callOf, nodeCalled, type PoolNode } from "@/views/builder/pool-nodes";

/** What is dragged out of the palette. */
export type Offer =
  | { readonly kind: "cpu" | "memory"; readonly node: string }
  | { readonly kind: "storage"; readonly node: string; readonly path: string }
  | { readonly kind: "tool" | "runtime"; readonly name: string };

/** Where pieces go. */
const ZONES = ["cpu", "memory", "storage", "programs"] as const;
export type ZoneName = (typeof ZONES)[number];

export function zoneOf(offer: Offer): ZoneName {
  return "name" in offer ? "programs" : offer.kind;
}

const USUAL_DISK_GB = 10;
/** The smallest piece of memory or storage. */
export const LEAST_GB = 0.5;

/** Put what was offered into its zone, with what is free of it now. `offer.node` is the node's id. */
export function added(draft: Draft, offer: Offer, nodes: readonly PoolNode[]): Draft {
  const key = `piece-${draft.next}`;
  const grown = { ...draft, next: draft.next + 1 };
  if ("name" in offer) {
    const piece = { key, kind: offer.kind, name: offer.name, version: "" };
    return { ...grown, programs: [...draft.programs, piece] };
  }
  const node = nodes.find((each) => each.id === offer.node);
  if (node === undefined) return draft;
  const call = callOf(nodes, node);
  switch (offer.kind) {
    case "cpu": {
      const cores = Math.max(1, node.freeCores ?? node.cores ?? 1);
      return withCores(grown, [...draft.cpu.pieces, { key, node: call, cores, specific: [] }]);
    }
    case "memory": {
      const gb = Math.max(LEAST_GB, halves((node.freeMemoryGb ?? node.memoryGb ?? 1) / 2));
      return withMemory(grown, [...draft.memory.pieces, { key, node: call, gb }]);
    }
    case "storage": {
      const free = node.volumes.find((volume) => volume.path === offer.path)?.freeGb;
      const gb = Math.max(LEAST_GB, Math.min(USUAL_DISK_GB, halves((free ?? USUAL_DISK_GB) / 2)));
      const purpose = freePurposes(draft, nodes, node)[0];
      if (purpose === undefined) return draft;
      return {
        ...grown,
        volumes: [...draft.volumes, { key, node: call, purpose, gb, path: null }],
      };
    }
  }
}

/** What a node's storage is not named for yet. */
export function freePurposes(draft: Draft, nodes: readonly PoolNode[], node: PoolNode) {
  const used = draft.volumes.filter((piece) => nodeCalled(nodes, piece.node)?.id === node.id);
  return PURPOSES.filter((purpose) => !used.some((piece) => piece.purpose === purpose));
}

/** Set how much a piece is: cores, or GiB. */
export function amounted(draft: Draft, key: string, amount: number): Draft {
  if (draft.cpu.pieces.some((piece) => piece.key === key)) {
    // Other cores than those that were named one by one: those names go.
    return withCores(
      draft,
      draft.cpu.pieces.map((piece) =>
        piece.key === key ? { ...piece, cores: amount, specific: [] } : piece,
      ),
    );
  }
  if (draft.memory.pieces.some((piece) => piece.key === key)) {
    return withMemory(
      draft,
      draft.memory.pieces.map((piece) => (piece.key === key ? { ...piece, gb: amount } : piece)),
    );
  }
  return withVolume(draft, key, { gb: amount });
}

export function withVolume(draft: Draft, key: string, change: Partial<VolumePiece>): Draft {
  const volumes = draft.volumes.map((piece) =>
    piece.key === key ? { ...piece, ...change } : piece,
  );
  return { ...draft, volumes };
}

export function withProgram(draft: Draft, key: string, change: Partial<ProgramPiece>): Draft {
  const programs = draft.programs.map((piece) =>
    piece.key === key ? { ...piece, ...change } : piece,
  );
  return { ...draft, programs };
}

export function removed(draft: Draft, key: string): Draft {
  const others = <Piece extends { key: string }>(pieces: readonly Piece[]) =>
    pieces.filter((piece) => piece.key !== key);
  return {
    ...withMemory(withCores(draft, others(draft.cpu.pieces)), others(draft.memory.pieces)),
    volumes: others(draft.volumes),
    programs: others(draft.programs),
  };
}

/** What is used in all; 0: just the pieces. Less than the pieces is for the node to refuse: whoever
 * types 12 comes by 1. */
export function totalled(draft: Draft, zone: "cpu" | "memory", total: number): Draft {
  return zone === "cpu"
    ? { ...draft, cpu: { ...draft.cpu, total } }
    : { ...draft, memory: { ...draft.memory, total } };
}

export function coresOf(draft: Draft): number {
  return draft.cpu.pieces.reduce((sum, piece) => sum + (piece.cores || piece.specific.length), 0);
}

export function memoryOf(draft: Draft): number {
  return draft.memory.pieces.reduce((sum, piece) => sum + piece.gb, 0);
}

function withCores(draft: Draft, pieces: Draft["cpu"]["pieces"]): Draft {
  const made = { ...draft, cpu: { ...draft.cpu, pieces } };
  if (draft.cpu.total === 0) return made;
  return { ...made, cpu: { ...made.cpu, total: Math.max(draft.cpu.total, coresOf(made)) } };
}

function withMemory(draft: Draft, pieces: Draft["memory"]["pieces"]): Draft {
  const made = { ...draft, memory: { ...draft.memory, pieces } };
  if (draft.memory.total === 0) return made;
  return {
    ...made,
    memory: { ...made.memory, total: Math.max(draft.memory.total, memoryOf(made)) },
  };
}

/** Down to half a GiB. */
function halves(gb: number): number {
  return Math.floor(gb * 2) / 2;
}

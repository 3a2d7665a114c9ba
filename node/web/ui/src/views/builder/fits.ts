import type { Draft, ProgramPiece } from "@/views/builder/draft";
import { freePurposes, LEAST_GB, type Offer, type ZoneName, zoneOf } from "@/views/builder/edits";
import { nodeCalled, offeredPrograms, type PoolNode } from "@/views/builder/pool-nodes";

/** Whether a zone takes something, and why (not). */
export interface Verdict {
  readonly takes: boolean;
  /** It is taken, and there is too little of it now. */
  readonly short: boolean;
  readonly words: string;
}

/** How a piece stands with what the pool has now. */
export interface Standing {
  readonly tone: "good" | "warn" | "bad";
  readonly words: string;
}

export const ZONE_TITLES: Record<ZoneName, string> = {
  cpu: "CPU",
  memory: "Memory",
  storage: "Storage",
  programs: "Tools and runtimes",
};
const NOUNS = { cpu: "cores", memory: "memory", storage: "storage" } as const;

/** What a zone says to something that is dragged. */
export function verdict(
  offer: Offer,
  zone: ZoneName,
  draft: Draft,
  nodes: readonly PoolNode[],
): Verdict {
  if (zoneOf(offer) !== zone) {
    const noun = "name" in offer ? offer.name : NOUNS[offer.kind];
    return no(`${noun}: that goes to ${ZONE_TITLES[zoneOf(offer)]}`);
  }
  if ("name" in offer) return ofProgram(offer, draft, nodes);
  const node = nodes.find((each) => each.id === offer.node);
  if (node === undefined) return no("that node is not in the pool any more");
  if (node.away !== null) return no(node.away);
  if (draft.execution.local_only && !node.thisNode) {
    return no("this configuration is for the asked node alone");
  }
  const has = (pieces: readonly { node: string }[]) =>
    pieces.some((piece) => nodeCalled(nodes, piece.node)?.id === node.id);
  switch (offer.kind) {
    case "cpu":
      if (has(draft.cpu.pieces)) return no("chosen already: change the number of its cores");
      return yes(
        `${node.freeCores ?? "unknown"} of ${node.cores ?? "unknown"} cores of ${node.name} are free`,
        node.freeCores === 0,
      );
    case "memory":
      if (has(draft.memory.pieces)) return no("chosen already: change the amount of its memory");
      return yes(
        `${gib(node.freeMemoryGb)} of ${gib(node.memoryGb)} of ${node.name} are free`,
        isLess(node.freeMemoryGb),
      );
    case "storage": {
      if (freePurposes(draft, nodes, node).length === 0) {
        return no("chosen already, for every purpose");
      }
      const free = node.volumes.find((volume) => volume.path === offer.path)?.freeGb ?? null;
      return yes(`${gib(free)} are free on ${node.name}`, isLess(free));
    }
  }
}

function ofProgram(
  offer: { kind: "tool" | "runtime"; name: string },
  draft: Draft,
  nodes: readonly PoolNode[],
): Verdict {
  const same = (piece: ProgramPiece) => piece.kind === offer.kind && piece.name === offer.name;
  if (draft.programs.some(same)) return no("chosen already: change its version");
  const found = offeredPrograms(nodes).find(
    (each) => each.kind === offer.kind && each.name === offer.name,
  );
  if (found === undefined) return no(`${offer.name} is on no node that can be given work`);
  return yes(`${offer.name} is on ${listed(found.nodes)}`);
}

/** Of cores, GiB of memory or of storage of a node: `wanted` 0 is all, or without a bound. */
export function standingOf(
  zone: "cpu" | "memory" | "storage",
  name: string,
  wanted: number,
  nodes: readonly PoolNode[],
): Standing {
  const node = nodeCalled(nodes, name);
  if (node === undefined) return { tone: "bad", words: `${name} is no node of the pool` };
  if (node.away !== null) return { tone: "bad", words: node.away };
  const [free, all, unit] = amountsOf(zone, node);
  if (all === null) return { tone: "warn", words: `it is not known how much ${node.name} has` };
  const text = (amount: number | null) => (zone === "cpu" ? `${amount ?? "unknown"}` : gib(amount));
  if (wanted > all) {
    return { tone: "bad", words: `${node.name} has ${text(all)}${unit}` };
  }
  const words =
    zone === "storage" ? `${text(free)} free now` : `${text(free)} of ${text(all)}${unit} free now`;
  return { tone: free !== null && wanted > free ? "warn" : "good", words };
}

/** What is free of something on a node, how much there is in all, and its unit. */
export function amountsOf(
  zone: "cpu" | "memory" | "storage",
  node: PoolNode,
): [free: number | null, all: number | null, unit: string] {
  if (zone === "cpu") return [node.freeCores, node.cores, " cores"];
  if (zone === "memory") return [node.freeMemoryGb, node.memoryGb, ""];
  const free = node.volumes.map((volume) => volume.freeGb).filter((gb) => gb !== null);
  const most = free.length > 0 ? Math.max(...free) : null;
  return [most, most, ""];
}

export function standingOfProgram(piece: ProgramPiece, nodes: readonly PoolNode[]): Standing {
  const found = offeredPrograms(nodes).find(
    (each) => each.kind === piece.kind && each.name === piece.name,
  );
  if (found === undefined) return { tone: "bad", words: "on no node that can be given work" };
  const versions = found.versions.length > 0 ? ` (${found.versions.slice(0, 3).join(", ")})` : "";
  return { tone: "good", words: `on ${listed(found.nodes)}${versions}` };
}

export function gib(amount: number | null): string {
  if (amount === null) return "unknown";
  return `${amount < 10 ? Math.round(amount * 10) / 10 : Math.round(amount)} GiB`;
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

/** Whether there is less of it than the smallest piece. */
function isLess(freeGb: number | null): boolean {
  return freeGb !== null && freeGb < LEAST_GB;
}

function yes(words: string, short = false): Verdict {
  return { takes: true, short, words };
}

function no(words: string): Verdict {
  return { takes: false, short: false, words };
}

/** A verdict as it is said: "Yes: 4 of 8 cores of anna are free". */
export function saidOf({ takes, short, words }: Verdict, zone: ZoneName): string {
  if (!takes) return `No: ${words}`;
  if (!short) return `Yes: ${words}`;
  return `Yes, but ${zone === "storage" ? "too little is free" : "it will wait"}: ${words}`;
}

import type { Known, Schema } from "@/api/client";
import type { Draft } from "@/views/builder/draft";
import type { ZoneName } from "@/views/builder/edits";

/** Something that the node finds wrong with a draft, or without effect. */
export interface Fault {
  readonly tone: "bad" | "warn";
  readonly words: string;
}

export interface PlacedFaults {
  /** By the key of the piece that they are about. */
  readonly pieces: ReadonlyMap<string, readonly Fault[]>;
  readonly zones: ReadonlyMap<ZoneName, readonly Fault[]>;
  /** What is about no piece and no zone. */
  readonly others: readonly Fault[];
}

export const NO_FAULTS: PlacedFaults = { pieces: new Map(), zones: new Map(), others: [] };

/** Whether a build would be refused with it. */
export function isRefused({ pieces, zones, others }: PlacedFaults): boolean {
  return [...pieces.values(), ...zones.values(), others].flat().some(({ tone }) => tone === "bad");
}

const LISTS = [
  [/^resources\.cpu\.node_allocations\[(\d+)\]/, (draft: Draft) => draft.cpu.pieces],
  [/^resources\.memory\.node_allocations\[(\d+)\]/, (draft: Draft) => draft.memory.pieces],
  [/^resources\.storage\.volumes\[(\d+)\]/, (draft: Draft) => draft.volumes],
  [/^resources\.tools\[(\d+)\]/, (draft: Draft) => ofKind(draft, "tool")],
  [/^resources\.runtimes\[(\d+)\]/, (draft: Draft) => ofKind(draft, "runtime")],
] as const;
const ZONE_PATHS: readonly (readonly [string, ZoneName])[] = [
  ["resources.cpu", "cpu"],
  ["resources.memory", "memory"],
  ["resources.storage", "storage"],
  ["resources.tools", "programs"],
  ["resources.runtimes", "programs"],
];

/** Bring what POST /api/configs/validate tells to the pieces of the draft that was asked about. */
export function placed(draft: Draft, found: Known<Schema["ValidatedConfiguration"]>): PlacedFaults {
  const pieces = new Map<string, Fault[]>();
  const zones = new Map<ZoneName, Fault[]>();
  const others: Fault[] = [];
  const put = (path: string, fault: Fault) => {
    const key = pieceAt(draft, path);
    const zone = ZONE_PATHS.find(([start]) => path.startsWith(start))?.[1];
    if (key !== undefined) pieces.set(key, [...(pieces.get(key) ?? []), fault]);
    else if (zone !== undefined) zones.set(zone, [...(zones.get(zone) ?? []), fault]);
    else others.push(fault);
  };
  for (const { path, message, hint } of [...found.problems, ...found.shortages]) {
    put(path, { tone: "bad", words: hint ? `${message} (${hint})` : message });
  }
  for (const words of found.warnings) {
    put(words.split(/[ :]/, 1)[0] ?? "", { tone: "warn", words });
  }
  return { pieces, zones, others };
}

function pieceAt(draft: Draft, path: string): string | undefined {
  for (const [pattern, pieces] of LISTS) {
    const number = pattern.exec(path)?.[1];
    if (number !== undefined) return pieces(draft)[Number(number)]?.key;
  }
  return undefined;
}

function ofKind(draft: Draft, kind: "tool" | "runtime") {
  return draft.programs.filter((piece) => piece.kind === kind);
}

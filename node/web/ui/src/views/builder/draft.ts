import type { Known, Schema } from "@/api/client";

/** A configuration while somebody shapes it: its pieces have keys, so that each stays itself. */
export interface Draft {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly cpu: Zone<CoresPiece>;
  readonly memory: Zone<MemoryPiece>;
  readonly volumes: readonly VolumePiece[];
  readonly programs: readonly ProgramPiece[];
  readonly minClass: StorageClass;
  readonly minFreeGb: number;
  readonly labels: readonly string[];
  readonly build: Partial<Known<Schema["BuildSettings"]>>;
  readonly execution: Partial<Known<Schema["ExecutionSettings"]>>;
  /** The number in the next piece's key. */
  readonly next: number;
}

/** `total`: what is used in all; 0: what the pieces come to, or all that there is. */
interface Zone<Piece> {
  readonly total: number;
  readonly priority: Priority;
  readonly pieces: readonly Piece[];
}

/** `cores` 0: all of the node's. */
interface CoresPiece {
  readonly key: string;
  readonly node: string;
  readonly cores: number;
  readonly specific: readonly number[];
}

interface MemoryPiece {
  readonly key: string;
  readonly node: string;
  readonly gb: number;
}

/** `gb` 0: no bound. */
export interface VolumePiece {
  readonly key: string;
  readonly node: string;
  readonly purpose: Purpose;
  readonly gb: number;
  readonly path: string | null;
}

/** `version` empty: any. */
export interface ProgramPiece {
  readonly key: string;
  readonly kind: "tool" | "runtime";
  readonly name: string;
  readonly version: string;
}

export const PURPOSES = ["output", "cache", "build"] as const;
export type Purpose = (typeof PURPOSES)[number];
export const STORAGE_CLASSES = ["any", "hdd", "ssd", "nvme", "ramdisk"] as const;
export type StorageClass = (typeof STORAGE_CLASSES)[number];
type Priority = "critical" | "high" | "normal" | "low";

/** A configuration as the API takes and tells it; what it does not say is as its defaults. */
export type ConfigDocument = Partial<Known<Schema["BuildConfiguration"]>>;

export const EMPTY: Draft = {
  id: "",
  name: "",
  description: "",
  cpu: { total: 0, priority: "normal", pieces: [] },
  memory: { total: 0, priority: "normal", pieces: [] },
  volumes: [],
  programs: [],
  minClass: "any",
  minFreeGb: 0,
  labels: [],
  build: {},
  execution: {},
  next: 1,
};

/** Read what the API tells of a configuration; all else that it tells is not kept. */
export function fromDocument(document: ConfigDocument): Draft {
  let next = 1;
  const key = () => {
    const made = `piece-${next}`;
    next += 1;
    return made;
  };
  const { cpu, memory, storage, tools, runtimes, labels } = document.resources ?? {};
  const program = (kind: "tool" | "runtime") => (said: Schema["ProgramRequirement"]) => ({
    key: key(),
    kind,
    name: said.name,
    version: said.version ?? "",
  });
  const draft = {
    id: document.id ?? "",
    name: document.name ?? "",
    description: document.description ?? "",
    cpu: {
      total: cpu?.cores ?? 0,
      priority: cpu?.priority ?? "normal",
      pieces: (cpu?.node_allocations ?? []).map((said) => ({
        key: key(),
        node: said.node_id,
        cores: said.cores ?? 0,
        specific: said.specific_cores ?? [],
      })),
    },
    memory: {
      total: memory?.gb ?? 0,
      priority: memory?.priority ?? "normal",
      pieces: (memory?.node_allocations ?? []).map((said) => ({
        key: key(),
        node: said.node_id,
        gb: said.gb,
      })),
    },
    volumes: (storage?.volumes ?? []).map((said) => ({
      key: key(),
      node: said.node_id ?? "local",
      purpose: said.purpose,
      gb: said.size_gb ?? 0,
      path: said.path ?? null,
    })),
    programs: [...(tools ?? []).map(program("tool")), ...(runtimes ?? []).map(program("runtime"))],
    minClass: storage?.min_class ?? "any",
    minFreeGb: storage?.min_free_gb ?? 0,
    labels: labels ?? [],
    build: document.build ?? {},
    execution: document.execution ?? {},
  };
  return { ...draft, next };
}

/** What a draft says beyond the defaults, in the order that the command line prints. */
export function toDocument(draft: Draft): ConfigDocument {
  const cpu = said({
    cores: draft.cpu.total || null,
    node_allocations: some(
      draft.cpu.pieces.map((piece) => ({
        node_id: piece.node,
        ...said({ cores: piece.cores || null, specific_cores: some(piece.specific) }),
      })),
    ),
    priority: draft.cpu.priority === "normal" ? null : draft.cpu.priority,
  });
  const memory = said({
    gb: draft.memory.total || null,
    node_allocations: some(
      draft.memory.pieces.map((piece) => ({ node_id: piece.node, gb: piece.gb })),
    ),
    priority: draft.memory.priority === "normal" ? null : draft.memory.priority,
  });
  const storage = said({
    volumes: some(
      draft.volumes.map((piece) => ({
        node_id: piece.node,
        ...said({ path: piece.path }),
        purpose: piece.purpose,
        ...said({ size_gb: piece.gb || null }),
      })),
    ),
    min_class: draft.minClass === "any" ? null : draft.minClass,
    min_free_gb: draft.minFreeGb || null,
  });
  const programs = (kind: "tool" | "runtime") =>
    some(
      draft.programs
        .filter((piece) => piece.kind === kind)
        .map((piece) => ({ name: piece.name, ...said({ version: piece.version.trim() || null }) })),
    );
  const resources = said({
    cpu: filled(cpu),
    memory: filled(memory),
    storage: filled(storage),
    tools: programs("tool"),
    runtimes: programs("runtime"),
    labels: some(draft.labels),
  });
  return said({
    id: draft.id || null,
    name: draft.name || null,
    description: draft.description || null,
    resources: filled(resources),
    build: filled(said(draft.build)),
    execution: filled(said(draft.execution)),
  }) as ConfigDocument;
}

/** Whether two drafts say the same, whatever their pieces are called. */
export function saySame(one: Draft, other: Draft): boolean {
  return JSON.stringify(toDocument(one)) === JSON.stringify(toDocument(other));
}

function said(keys: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => value != null));
}

function some<Value>(values: readonly Value[]): readonly Value[] | null {
  return values.length > 0 ? values : null;
}

function filled(keys: Record<string, unknown>): Record<string, unknown> | null {
  return Object.keys(keys).length > 0 ? keys : null;
}

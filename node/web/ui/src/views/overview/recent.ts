import type { Schema } from "@/api/client";
import type { Tone } from "@/components/badge";
import { buildOf, entryWords, type Names } from "@/pool/entry-words";

/** One line of what happened lately. */
interface Happening {
  id: string;
  /** In milliseconds since 1970. */
  at: number;
  words: string;
  tone: Tone;
  href?: string;
}

type Health = Pick<Schema["PoolHealth"], "quorum" | "coordinator"> & {
  nodes: Pick<Schema["NodeHealth"], "id" | "name" | "status" | "status_for_s" | "this_node">[];
};

const KEPT = 30;
const BAD = new Set(["build.failed", "chain.quarantined", "cache.poisoned", "member.revoked"]);
const WARN = new Set([
  "build.cancelled",
  "member.removed",
  "node.stopped",
  "queue.paused",
  "queue.build_paused",
  "security.refused",
  "security.damage_found",
  "session.kicked",
]);
const GOOD = new Set(["build.completed", "cluster.founded", "member.admitted", "node.started"]);
/** What stands in the ledger for machines: others than who reads along need it. */
const QUIET = new Set([
  "benchmark.completed",
  "build.queued",
  "chain.opened",
  "key.used",
  "node.joined", // the cluster tells it, too: member.admitted, cluster.founded
  "node.resources",
  "resources.offered",
]);
const LEASES = /^resources\.(allocated|released)$/;

const STATUS_WORDS: Record<string, readonly [string, Tone]> = {
  online: ["answers", "good"],
  suspect: ["does not answer, and may be gone", "warn"],
  offline: ["is offline", "bad"],
  left: ["takes its leave", "calm"],
};

/** An entry of the ledger as a line; null: it says nothing to people. */
export function ofEntry(entry: Schema["LedgerEntry"], names: Names): Happening | null {
  if (QUIET.has(entry.type) || LEASES.test(entry.type)) return null;
  const tone = BAD.has(entry.type)
    ? "bad"
    : WARN.has(entry.type)
      ? "warn"
      : GOOD.has(entry.type)
        ? "good"
        : "calm";
  const build = buildOf(entry);
  return {
    id: entry.id,
    at: Date.parse(entry.time),
    words: entryWords(entry, names),
    tone,
    href: build === undefined ? `/ui/ledger/${entry.id}` : `/ui/builds/${build}`,
  };
}

/** So long after its start a node finds all others: that they answer then is no news. */
const SETTLES_S = 60;

/**
 * What nodes became last, and who coordinates, as lines. `at`: when the node that is asked told so.
 * A node that goes back and forth between working and not is no news. What a node becomes next is a
 * line of its own: those that are new are read out.
 */
export function ofHealth({ nodes, quorum, coordinator }: Health, at: number): Happening[] {
  const up = nodes.find((node) => node.this_node)?.status_for_s ?? 0;
  const lines = nodes.flatMap((node): Happening[] => {
    const { id, name, status, status_for_s: age } = node;
    if (age === null || node.this_node) return [];
    const plain = status === "busy" ? "online" : status;
    if (plain === "online" && age > up - SETTLES_S) return [];
    const [words, tone] = STATUS_WORDS[plain] ?? ([`is ${plain}`, "calm"] as const);
    const line = { at: at - age * 1_000, words: `${name} ${words}`, tone };
    return [{ ...line, id: `${plain} ${id}`, href: `/ui/nodes/${id}` }];
  });
  if (coordinator === null || quorum.for_s === null) return lines;
  const { node_id, name } = coordinator;
  const line = { at: at - quorum.for_s * 1_000, words: `${name} coordinates now` };
  return [
    ...lines,
    { ...line, id: `coordinator ${node_id}`, tone: "busy", href: `/ui/nodes/${node_id}` },
  ];
}

/** The latest of these lines, each once, the newest first. */
export function newest(lines: readonly Happening[]): Happening[] {
  const all = new Map(lines.map((line) => [line.id, line]));
  return [...all.values()].sort((a, b) => b.at - a.at).slice(0, KEPT);
}

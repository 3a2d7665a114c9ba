import type { Schema } from "@/api/client";
import type { Tone } from "@/components/badge";
import type { LiveEvent } from "@/live/items";
import { buildOf, entryWords, type Names } from "@/pool/entry-words";

/** One line of what happened lately. */
export interface Happening {
  id: string;
  /** In milliseconds since 1970. */
  at: number;
  words: string;
  tone: Tone;
  href?: string;
}

/** What was known of a node. */
export type Before = { name?: string; status?: string; coordinator?: boolean } | undefined;

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

/**
 * A change of a node as a line; null: nothing that people want to know of. `before` is what was
 * known of it: a node that goes back and forth between working and not is no news.
 */
export function ofNodeEvent(event: LiveEvent, before: Before): Happening | null {
  const { id, status, coordinator } = event.data as {
    id: string;
    status?: string;
    coordinator?: boolean;
  };
  const name = (event.data.name as string | undefined) ?? before?.name ?? id.slice(0, 12);
  const line = { id: event.cursor, at: event.at * 1_000, href: `/ui/nodes/${id}` };
  if (coordinator === true && before?.coordinator !== true) {
    return { ...line, words: `${name} coordinates now`, tone: "busy" };
  }
  if (status === undefined || plainly(status) === plainly(before?.status)) return null;
  const [words, tone] = STATUS_WORDS[plainly(status)] ?? [`is ${status}`, "calm"];
  return { ...line, words: `${name} ${words}`, tone };
}

function plainly(status: string | undefined): string {
  return status === undefined || status === "busy" ? "online" : status;
}

/** Put lines in front of those that are known, each once, the newest first. */
export function withLines(known: readonly Happening[], lines: readonly Happening[]): Happening[] {
  const all = new Map([...known, ...lines].map((line) => [line.id, line]));
  return [...all.values()].sort((a, b) => b.at - a.at).slice(0, KEPT);
}

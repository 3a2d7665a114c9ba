import type { Schema } from "@/api/client";
import type { Tone } from "@/components/badge";
import { duration, shortId } from "@/format/format";
import type { LiveEvent } from "@/live/items";

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
const GOOD = new Set(["build.completed", "member.admitted", "node.joined", "node.started"]);
/** What stands in the ledger for machines: others than who reads along need it. */
const QUIET = new Set(["chain.opened", "node.resources", "resources.offered", "key.used"]);
const BUILD = /\bbuild:(\w+)/;
const LEASES = /^resources\.(allocated|released)$/;

const STATUS_WORDS: Record<string, readonly [string, Tone]> = {
  online: ["answers", "good"],
  suspect: ["does not answer, and may be gone", "warn"],
  offline: ["is offline", "bad"],
  left: ["takes its leave", "calm"],
};

/** An entry of the ledger as a line; null: it says nothing to people. */
export function ofEntry(entry: Schema["LedgerEntry"]): Happening | null {
  if (QUIET.has(entry.type) || LEASES.test(entry.type)) return null;
  const tone = BAD.has(entry.type)
    ? "bad"
    : WARN.has(entry.type)
      ? "warn"
      : GOOD.has(entry.type)
        ? "good"
        : "calm";
  const build = BUILD.exec(entry.entity)?.[1];
  return {
    id: entry.id,
    at: Date.parse(entry.time),
    words: named(entry),
    tone,
    href: build === undefined ? `/ui/ledger/${entry.id}` : `/ui/builds/${build}`,
  };
}

/** The words of the ledger: builds and times as elsewhere on the page, with the node's name where they say "The node" of the one that tells it. */
function named({ text: told, actor }: Schema["LedgerEntry"]): string {
  const text = told
    .replace(BUILD, (_, id: string) => `build ${shortId(id)}`)
    .replace(/\b(\d+) ms\b/, (_, ms: string) => duration(Number(ms)));
  if (actor.kind !== "node" || actor.name === "" || text.includes(actor.name)) return text;
  return text.replace(/^The node\b/, actor.name);
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

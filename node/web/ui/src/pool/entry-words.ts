import type { Schema } from "@/api/client";
import { duration, shortId } from "@/format/format";

type Entry = Schema["LedgerEntry"];

const BUILD = /\bbuild:(\w+)/;
const ADMITTED = /^A node came in: /;
const BY_INVITATION = /, by the invitation [0-9a-f]{16}/;
/** The id of a node behind its name. */
const ID_OF_NAMED = / \([0-9a-f]{16}\)/g;
const NODE_ID = /\b[0-9a-f]{16}\b/g;

/** How people call what entries name by an id: builds by their workspace, nodes by their name. */
export interface Names {
  workspace: (build: string) => string | undefined;
  node: (id: string) => string | undefined;
}

/** The build that an entry is about. */
export function buildOf(entry: Entry): string | undefined {
  return BUILD.exec(entry.entity)?.[1];
}

/**
 * The words of the ledger as the rest of the page says them, with the node's name where they say
 * "The node" of the one that tells it.
 */
export function entryWords(entry: Entry, names: Names): string {
  const { text: told, actor } = entry;
  if (entry.type === "system.setting") return settingWords(entry, names);
  const text = told
    .replace(ADMITTED, "")
    .replace(BY_INVITATION, "")
    .replace(ID_OF_NAMED, "")
    .replace(NODE_ID, (id) => names.node(id) ?? id)
    .replace(BUILD, (_, id: string) => {
      const workspace = names.workspace(id);
      return workspace === undefined ? `build ${shortId(id)}` : `the build of ${workspace}`;
    })
    .replace(/^the build/, "The build")
    .replace(/\b(\d+) ms\b/, (_, ms: string) => duration(Number(ms)));
  const name = actor.name || names.node(actor.id);
  if (actor.kind !== "node" || !name || text.includes(name)) return text;
  return text.replace(/^The node\b/, name);
}

/** The ledger's words name the setting alone: whose it is, and what it is now, stands beside them. */
function settingWords({ text, actor, entity, data }: Entry, names: Names): string {
  const id = /^node:(\w+)$/.exec(entity)?.[1];
  if (id === undefined) return text;
  const node = names.node(id) ?? id;
  const { name, new: now } = (data ?? {}) as { name?: string; new?: unknown };
  if (name !== "draining") return `${text} of ${node}`;
  return `${actor.name || actor.id} ${now === true ? "drained" : "resumed"} ${node}`;
}

/** The workspaces of builds, as entries tell that they started. */
export function workspacesOf(entries: readonly Entry[]): Map<string, string> {
  return new Map(
    entries.flatMap((entry) => {
      const build = buildOf(entry);
      const { workspace } = (entry.data ?? {}) as { workspace?: string };
      return build !== undefined && workspace ? [[build, workspace] as const] : [];
    }),
  );
}

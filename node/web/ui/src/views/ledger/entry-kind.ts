import {
  Blocks,
  Boxes,
  Coins,
  Cpu,
  Database,
  FileCog,
  Gauge,
  Hammer,
  KeyRound,
  Link2,
  ListOrdered,
  LogIn,
  type LucideIcon,
  Network,
  ScrollText,
  Server,
  ShieldAlert,
  SlidersHorizontal,
  StickyNote,
  UserCog,
} from "lucide-react";
import type { Tone } from "@/components/badge";

interface Kind {
  /** In words, in the plural. */
  words: string;
  icon: LucideIcon;
}

/** What entries are of, by the first part of their type. */
const KINDS: Record<string, Kind> = {
  build: { words: "builds", icon: Hammer },
  queue: { words: "the queue", icon: ListOrdered },
  resources: { words: "resources", icon: Coins },
  benchmark: { words: "benchmarks", icon: Gauge },
  node: { words: "nodes", icon: Server },
  member: { words: "members", icon: Network },
  cluster: { words: "the cluster", icon: Boxes },
  config: { words: "configurations", icon: SlidersHorizontal },
  template: { words: "templates", icon: Blocks },
  profile: { words: "profiles", icon: FileCog },
  key: { words: "keys", icon: KeyRound },
  rights: { words: "rights", icon: UserCog },
  session: { words: "sessions", icon: LogIn },
  cache: { words: "the cache", icon: Database },
  security: { words: "security", icon: ShieldAlert },
  chain: { words: "chains", icon: Link2 },
  system: { words: "notes and settings", icon: StickyNote },
};
const OTHER: Kind = { words: "other", icon: ScrollText };
const BAD = new Set([
  "build.failed",
  "cache.poisoned",
  "chain.quarantined",
  "security.damage_found",
  "security.refused",
]);
const WARN = new Set([
  "build.cancelled",
  "key.revoked",
  "member.removed",
  "member.revoked",
  "node.left",
  "queue.paused",
  "rights.withdrawn",
  "session.kicked",
]);
const GOOD = new Set(["build.completed", "security.damage_repaired"]);

export function kindOf(type: string): Kind {
  if (type === "node.resources") return { words: "nodes", icon: Cpu };
  return KINDS[type.split(".", 1)[0] ?? ""] ?? OTHER;
}

export function toneOfType(type: string): Tone {
  if (BAD.has(type)) return "bad";
  if (WARN.has(type)) return "warn";
  return GOOD.has(type) ? "good" : "calm";
}

/** Choices of what entries are of. */
export const TYPE_CHOICES: readonly (readonly [string, string])[] = [
  ["", "everything"],
  ...Object.entries(KINDS).map(([name, { words }]) => [`${name}.*`, words] as const),
];

import {
  Ban,
  CircleAlert,
  CircleCheck,
  CircleDashed,
  CircleHelp,
  CirclePause,
  CirclePlay,
  Clock,
  type LucideIcon,
  TriangleAlert,
} from "lucide-react";
import type { ReactNode } from "react";

export type Tone = "good" | "warn" | "bad" | "busy" | "calm";

/** Each status of nodes, builds and tasks: a tone and a picture, so that no colour stands alone. */
const STATUS: Record<string, readonly [Tone, LucideIcon]> = {
  online: ["good", CircleCheck],
  succeeded: ["good", CircleCheck],
  verified: ["good", CircleCheck],
  valid: ["good", CircleCheck],
  excellent: ["good", CircleCheck],
  busy: ["busy", CirclePlay],
  running: ["busy", CirclePlay],
  good: ["good", CircleCheck],
  queued: ["calm", Clock],
  waiting: ["calm", Clock],
  planning: ["busy", CircleDashed],
  paused: ["warn", CirclePause],
  draining: ["warn", CirclePause],
  drained: ["warn", CirclePause],
  suspect: ["warn", TriangleAlert],
  fair: ["warn", TriangleAlert],
  flaky: ["warn", TriangleAlert],
  poor: ["bad", TriangleAlert],
  failed: ["bad", CircleAlert],
  offline: ["bad", CircleAlert],
  revoked: ["bad", Ban],
  expired: ["calm", Ban],
  left: ["calm", Ban],
  cancelled: ["calm", Ban],
  skipped: ["calm", Ban],
};

/** A status in a word, with its picture and tone; a word that is not known here stands alone. */
export function StatusBadge({ status }: { status: string }) {
  const [tone, Icon] = STATUS[status] ?? (["calm", CircleHelp] as const);
  return (
    <span className={`badge ${tone}`}>
      <Icon aria-hidden />
      {status}
    </span>
  );
}

/** The picture of a status alone, where there is no room for the word: screen readers hear it. */
export function StatusIcon({ status }: { status: string }) {
  const [tone, Icon] = STATUS[status] ?? (["calm", CircleHelp] as const);
  return (
    <Icon aria-label={status} size={14} color={`var(--${tone === "busy" ? "accent" : tone})`} />
  );
}

/** A few words that stand out. */
export function Badge({ tone = "calm", children }: { tone?: Tone; children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}

import type { Schema } from "@/api/client";
import type { Tone } from "@/components/badge";
import { bytes, duration, percent, plural } from "@/format/format";
import { quoted } from "@/format/shell";
import type { Item, Items } from "@/live/items";
import type { PoolNode } from "@/live/pool-nodes";
import { volumes } from "@/pool/totals";

export interface Alert {
  /** Tells alerts apart. */
  id: string;
  tone: Extract<Tone, "warn" | "bad">;
  words: string;
  hint?: string;
  /** Where more about it is. */
  href?: string;
  /** What tells the same in a terminal. */
  command?: string;
}

const DISK_WARN = 0.9;
const DISK_BAD = 0.97;
const LATELY_S = 600;
const STUCK_MS = 60_000;

/** What somebody should look at, the worst first. */
export function alerts(of: {
  nodes: readonly PoolNode[];
  health: Schema["PoolHealth"] | undefined;
  queue: Items;
  letters: readonly Schema["Letter"][];
  /** In milliseconds since 1970. */
  now: number;
}): Alert[] {
  const problems = healthAlerts(of.health);
  const told = problems.map((problem) => problem.words).join(" ");
  const found = [
    ...problems,
    ...of.nodes.flatMap((node) => nodeAlerts(node, told)),
    ...queueAlerts(of.queue, of.now),
    ...letterAlerts(of.letters),
    ...refusals(of.health),
  ];
  return found.sort((a, b) => Number(b.tone === "bad") - Number(a.tone === "bad"));
}

function healthAlerts(health: Schema["PoolHealth"] | undefined): Alert[] {
  return (health?.problems ?? []).map((words, place) => ({
    id: `health ${place}`,
    tone: health?.coordinator?.quorum ? "warn" : "bad",
    words,
    ...(health?.sealing.text === words && health.sealing.hint && { hint: health.sealing.hint }),
    command: "buildnet pool health",
  }));
}

function nodeAlerts(node: PoolNode, told: string): Alert[] {
  const found: Alert[] = [];
  const href = `/ui/nodes/${encodeURIComponent(node.name)}`;
  const command = `buildnet server show ${quoted(node.name)}`;
  const isTold = told.split(/[\s,]+/).includes(node.name);
  if (node.status === "suspect" && !isTold) {
    const words = `${node.name} does not answer, and may be gone`;
    found.push({ id: `${node.id} status`, tone: "warn", words, href, command });
  }
  if (node.status === "offline" && !isTold) {
    const words = `${node.name} is offline: what it ran runs elsewhere`;
    found.push({ id: `${node.id} status`, tone: "bad", words, href, command });
  }
  if (node.status !== "offline" && node.status !== "left") {
    for (const { path, used, total } of volumes(node)) {
      if (used / total < DISK_WARN) continue;
      found.push({
        id: `${node.id} ${path}`,
        tone: used / total >= DISK_BAD ? "bad" : "warn",
        words: `${path} of ${node.name} is ${percent(used, total)} full, ${bytes(total - used)} free`,
        hint: "free space there, or let the cache keep less",
        href,
        command: "buildnet cache gc",
      });
    }
  }
  return found;
}

/** Nothing of the queue runs, and somebody has waited for a while. */
function queueAlerts(queue: Items, now: number): Alert[] {
  const whole = queue.get("queue");
  const builds = [...queue.values()].filter((item) => item.id !== "queue");
  const waiting = builds.filter((build) => build.state === "waiting");
  const href = "/ui/queue";
  const command = "buildnet queue list";
  if (whole?.paused) {
    const by = whole.paused_by ? ` by ${whole.paused_by}` : "";
    const words = `The queue is paused${by}: ${plural(builds.length, "build")} in it`;
    return [{ id: "queue", tone: "warn", words, href, command: "buildnet queue resume" }];
  }
  const longest = now - Math.min(now, ...waiting.map(askedAt));
  if (waiting.length === 0 || longest < STUCK_MS) return [];
  if (builds.some((build) => build.state === "running")) return [];
  const words = `The queue is stuck: nothing runs, ${plural(waiting.length, "build waits", "builds wait")}, the first for ${duration(longest)}`;
  const why = waiting.find((build) => typeof build.words === "string")?.words as string | undefined;
  return [{ id: "queue", tone: "bad", words, href, command, ...(why && { hint: why }) }];
}

function askedAt(build: Item): number {
  return typeof build.asked_at === "number" ? build.asked_at * 1_000 : Number.POSITIVE_INFINITY;
}

function letterAlerts(letters: readonly Schema["Letter"][]): Alert[] {
  const [latest] = letters;
  if (latest === undefined) return [];
  return [
    {
      id: "dead letters",
      tone: "warn",
      words: `${plural(letters.length, "command was", "commands were")} given up, the latest ${latest.package}#${latest.task} of ${latest.workspace}`,
      ...(latest.error.message && { hint: latest.error.message }),
      command: "buildnet queue dead list",
    },
  ];
}

function refusals(health: Schema["PoolHealth"] | undefined): Alert[] {
  return (health?.refused ?? [])
    .filter((one) => !one.harmless && one.last_age_s !== null && one.last_age_s < LATELY_S)
    .map((one) => {
      const who = one.last_name ?? one.last_peer?.slice(0, 12) ?? one.last_detail;
      return {
        id: `refused ${one.reason}`,
        tone: "warn" as const,
        words: `${one.reason}: ${plural(one.count, "time")}${who ? `, lately ${who}` : ""}`,
        command: "buildnet pool health",
      };
    });
}

import type { Schema } from "@/api/client";
import type { Tone } from "@/components/badge";
import { bytes, duration, percent, plural } from "@/format/format";
import { quoted } from "@/format/shell";
import { whoText } from "@/format/who";
import type { Item, Items } from "@/live/items";
import type { PoolNode } from "@/live/pool-nodes";
import { isThere, volumes } from "@/pool/totals";
import { refusalWords } from "@/views/overview/refusal-words";

export interface Alert {
  /** Tells alerts apart. */
  id: string;
  tone: Extract<Tone, "warn" | "bad">;
  /** What is wrong, and why. */
  words: string;
  /** Since when, or when it was last so: in milliseconds since 1970. */
  when?: { words: "began" | "last" | "measured"; at: number | null };
  /** What to do about it. */
  next: string;
  /** Where more about it is. */
  href?: string;
  /** What tells the same in a terminal. */
  command?: string;
}

const DISK_WARN = 0.9;
const DISK_BAD = 0.97;
const LATELY_S = 600;
const STUCK_MS = 60_000;

interface Known {
  nodes: readonly PoolNode[];
  health: Schema["PoolHealth"] | undefined;
  /** When that was, in milliseconds since 1970. */
  healthAt: number;
  queue: Items;
  letters: readonly Schema["Letter"][];
  /** In milliseconds since 1970. */
  now: number;
}

/** What somebody should look at, the worst first. */
export function alerts(of: Known): Alert[] {
  const problems = healthAlerts(of);
  const told = problems.map((problem) => problem.words).join(" ");
  const found = [
    ...problems,
    ...of.nodes.flatMap((node) => nodeAlerts(node, told, statusSince(of, node.id))),
    ...queueAlerts(of.queue, of.now),
    ...letterAlerts(of.letters),
    ...refusals(of),
  ];
  return found.sort((a, b) => Number(b.tone === "bad") - Number(a.tone === "bad"));
}

const START =
  "Start it on its host: buildnet node start. If it is gone for good: remove it on its page";

const START_ALL =
  "Start them on their hosts: buildnet node start. Who is gone for good: remove them on their pages";
const WALL_CLOCK = / since [\d:]+ UTC/;

function healthAlerts({ health, nodes, ...of }: Known): Alert[] {
  const { sealing, coordinator } = health ?? {};
  return (health?.problems ?? []).map((words, place) => {
    const alert = {
      id: `health ${place}`,
      tone: coordinator?.quorum ? ("warn" as const) : ("bad" as const),
      words,
      command: "buildnet pool health",
    };
    if (sealing?.problem && words === sealing.text) {
      const waits = sealing.unsealed
        ? `; ${plural(sealing.unsealed, "entry waits", "entries wait")}, kept and provisional`
        : "";
      return {
        ...alert,
        words: `The ledger is not sealed: ${sealing.problem}${waits}`,
        ...(sealing.since && { when: { words: "began", at: Date.parse(sealing.since) } as const }),
        next: sealing.hint ?? "",
        href: "/ui/ledger",
        command: "buildnet ledger status",
      };
    }
    const gone = nodes.filter((node) => !isThere(node) && names(words, node.name));
    if (gone.length > 0) {
      const since = gone.flatMap((node) => statusSince({ health, ...of }, node.id) ?? []);
      return {
        ...alert,
        words: since.length > 0 ? words.replace(WALL_CLOCK, "") : words,
        ...(since.length > 0 && { when: { words: "began", at: Math.min(...since) } as const }),
        next: gone.length === 1 ? START : START_ALL,
        href: gone.length === 1 ? `/ui/nodes/${gone[0]?.id}` : "/ui/nodes?sort=status",
      };
    }
    return { ...alert, ...nextStep(words) };
  });
}

const LOG = "buildnet node logs --level warning";

/** What helps against a problem that tells no remedy of its own. */
function nextStep(words: string): { next: string; command?: string } {
  if (words.includes("coordinator") || words.includes("voters")) {
    return {
      next: "Bring back a majority of the voters: what is decided without one is provisional",
    };
  }
  if (words.includes("event loop")) {
    return { next: "Give that host less to do: its limits are on its page" };
  }
  if (words.includes("nothing new")) {
    return { next: "It is there, and says nothing: look at the log on its host", command: LOG };
  }
  return { next: "Look why in the log of the node that it is about, on its host", command: LOG };
}

/** Whether words are about a node: "node1" is not in "node10". */
function names(words: string, name: string): boolean {
  return words.split(/[\s,;:()]+/).includes(name);
}

/** Since when a node is as it is. */
function statusSince({ health, healthAt }: Pick<Known, "health" | "healthAt">, id: string) {
  const age = health?.nodes?.find((node) => node.id === id)?.status_for_s;
  return age == null ? null : healthAt - age * 1_000;
}

function nodeAlerts(node: PoolNode, told: string, since: number | null): Alert[] {
  const found: Alert[] = [];
  const href = `/ui/nodes/${encodeURIComponent(node.name)}`;
  const command = `buildnet server show ${quoted(node.name)}`;
  const gone = {
    id: `${node.id} status`,
    when: { words: "began", at: since },
    href,
    command,
  } as const;
  if (node.status === "suspect" && !names(told, node.name)) {
    const words = `${node.name} does not answer, and may be gone`;
    found.push({
      ...gone,
      tone: "warn",
      words,
      next: "Wait: in some seconds it is back, or offline",
    });
  }
  if (node.status === "offline" && !names(told, node.name)) {
    const words = `${node.name} is offline: what it ran runs elsewhere`;
    found.push({ ...gone, tone: "bad", words, next: START });
  }
  if (isThere(node)) {
    for (const { path, used, total } of volumes(node)) {
      if (used / total < DISK_WARN) continue;
      found.push({
        id: `${node.id} ${path}`,
        tone: used / total >= DISK_BAD ? "bad" : "warn",
        words: `${path} of ${node.name} is ${percent(used, total)} full, ${bytes(total - used)} free`,
        when: { words: "measured", at: node.measuredAt },
        next: "Free space there, or let the cache keep less",
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
    const by = whole.paused_by ? ` by ${whoText(String(whole.paused_by))}` : "";
    const words = `The queue is paused${by}: ${plural(builds.length, "build")} in it`;
    const next = "Resume it, once whoever paused it agrees";
    return [{ id: "queue", tone: "warn", words, next, href, command: "buildnet queue resume" }];
  }
  const longest = now - Math.min(now, ...waiting.map(askedAt));
  if (waiting.length === 0 || longest < STUCK_MS) return [];
  if (builds.some((build) => build.state === "running")) return [];
  const words = `The queue is stuck: nothing runs, ${plural(waiting.length, "build waits", "builds wait")}, the first for ${duration(longest)}`;
  const why = waiting.find((build) => typeof build.words === "string")?.words as string | undefined;
  const next = "Look in the queue what the first one waits for";
  return [
    { id: "queue", tone: "bad", words: why ? `${words}: ${why}` : words, next, href, command },
  ];
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
      words: `${plural(letters.length, "command was", "commands were")} given up, the latest ${latest.package}#${latest.task} of ${latest.workspace}${latest.error.message ? `: ${latest.error.message}` : ""}`,
      when: { words: "last", at: latest.at * 1_000 },
      next: latest.error.hint ?? "Look at what it printed, then build again",
      command: "buildnet queue dead list",
    },
  ];
}

function refusals(of: Known): Alert[] {
  const { health, healthAt, now } = of;
  return (health?.refused ?? [])
    .flatMap((one) => {
      if (one.harmless || one.last_age_s === null) return [];
      const at = healthAt - one.last_age_s * 1_000;
      return now - at < LATELY_S * 1_000 && !isOfGone(one, at, of) ? [{ ...one, at }] : [];
    })
    .map((one) => {
      const who = one.last_name ?? one.last_peer?.slice(0, 12) ?? one.last_detail;
      const { means, next } = refusalWords(one.reason);
      return {
        id: `refused ${one.reason}`,
        tone: "warn" as const,
        words: `${means} (${one.reason}, ${plural(one.count, "time")}${who ? `, lately ${who}` : ""})`,
        when: { words: "last" as const, at: one.at },
        next,
        command: "buildnet pool health",
      };
    });
}

/** Whether a node did not answer because it was gone: another alert says so, or it is back. */
function isOfGone(one: Schema["Refused"], at: number, of: Known): boolean {
  const node = of.nodes.find(
    ({ id, address }) =>
      id === one.last_peer || (address !== null && one.last_detail.startsWith(`${address}: `)),
  );
  if (node === undefined || !one.reason.startsWith("no answer at an address")) return false;
  const since = statusSince(of, node.id);
  return !isThere(node) || (since !== null && at <= since);
}

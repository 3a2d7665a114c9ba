import type { Schema } from "@/api/client";
import { byName } from "@/format/format";
import { quoted } from "@/format/shell";
import { outputKey } from "@/views/builds/log-output";

/** A task of a build, as far as its log goes. */
export interface LoggedTask {
  name: string;
  task: string;
  state: string;
  report: Schema["PackageReport"] | null;
}

/** What has an output of its own: a task, or a shard of one. */
interface Source {
  /** `api#build`, `api#test 2/3`. */
  key: string;
  name: string;
  task: string;
  state: string;
  /** Whether its output is kept. */
  isKept: boolean;
}

const RANKS: Record<string, number> = { failed: 0, running: 1, built: 2, cancelled: 3 };

/** What printed something, or may yet: what failed first, then what runs. */
export function sourcesOf(tasks: readonly LoggedTask[], printed: Iterable<string>): Source[] {
  const found = new Map<string, Source>();
  for (const task of tasks) for (const one of ofTask(task)) found.set(one.key, one);
  for (const key of printed) {
    if (!found.has(key)) found.set(key, running(key));
  }
  return [...found.values()].sort((a, b) => rank(a) - rank(b) || byName(a.key, b.key));
}

/** The outputs of one task, for links to them: its own, or one of each shard. */
export function logsOf(task: LoggedTask): { key: string; words: string }[] {
  const isSharded = (task.report?.shards ?? []).length > 0;
  return ofTask(task)
    .filter((one) => one.isKept || one.state === "running")
    .map(({ key, task: name }) => ({
      key,
      words: isSharded ? name.slice(task.task.length + 1) : "output",
    }));
}

/** Where the whole output of a task is. */
export function logAddress(buildId: string, { name, task }: Source): string {
  const query = new URLSearchParams({ package: name, task });
  return `/api/build/${encodeURIComponent(buildId)}/log?${query}`;
}

/** The same on the command line. */
export function logCommand(buildId: string, source: Source | null): string {
  if (source === null) return `buildnet logs ${buildId}`;
  return `buildnet history ${buildId} --log ${quoted(source.key)}`;
}

function ofTask({ name, task, state, report }: LoggedTask): Source[] {
  const whole = {
    key: outputKey(name, task),
    name,
    task,
    state,
    isKept: report?.log != null,
  };
  const shards = (report?.shards ?? []).map((shard) => ({
    key: outputKey(name, `${task} ${shard.shard}`),
    name,
    task: `${task} ${shard.shard}`,
    state: shard.status === "succeeded" ? "built" : shard.status,
    isKept: shard.log !== null,
  }));
  const all = shards.length > 0 ? shards : [whole];
  return all.filter((one) => one.isKept || one.state === "running" || one.state === "failed");
}

function running(key: string): Source {
  const [name = key, task = "build"] = key.split(/#(?=[^#]*$)/);
  return { key, name, task, state: "running", isKept: false };
}

function rank({ state }: Source): number {
  return RANKS[state] ?? Object.keys(RANKS).length;
}

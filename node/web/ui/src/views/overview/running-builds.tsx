import { Link } from "wouter";
import { useNow } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { Empty } from "@/components/states";
import { duration, plural } from "@/format/format";
import type { BuildItem } from "@/live/items";
import { useBuilds, useItems } from "@/live/use-live";
import { leftMs } from "@/views/overview/left";

/** The builds that run now, how far each is, and how many wait behind them. */
export function RunningBuilds() {
  const builds = useBuilds();
  const queue = useItems("queue");
  const running = builds.filter((build) => build.status === "running");
  const waiting = [...queue.values()].filter((item) => item.state === "waiting").length;
  const paused = queue.get("queue")?.paused === true;
  const over = builds.filter((build) => build.status !== "running");
  return (
    <section className="card overview-builds" aria-label="Builds">
      <header>
        <h2>{running.length === 0 ? "Builds" : plural(running.length, "build")} running</h2>
        <Link href="/ui/queue" className="small">
          {paused ? "the queue is paused, " : ""}
          {waiting === 0 ? "nobody waits" : `${plural(waiting, "build waits", "builds wait")}`}
        </Link>
      </header>
      {builds.length === 0 && (
        <Empty title="Nothing is built now">
          <span className="soft">
            Builds of all nodes are shown here as they run.{" "}
            <Link href="/ui/builds">The record</Link>
          </span>
        </Empty>
      )}
      <ul className="overview-running">
        {[...running, ...over].map((build) => (
          <Build key={build.id} build={build} />
        ))}
      </ul>
    </section>
  );
}

function Build({ build }: { build: BuildItem }) {
  const now = useNow();
  const tasks = build.tasks;
  const share = tasks ? Math.min(1, build.done / tasks) : 0;
  const isRunning = build.status === "running";
  const left = isRunning ? leftMs(build, now) : null;
  return (
    <li>
      <div className="row between">
        <span>
          <Link href={`/ui/builds/${build.id}`}>
            <strong>{build.workspace}</strong>
          </Link>{" "}
          <span className="soft small">
            of {build.actor} on {build.node}
          </span>
        </span>
        <StatusBadge status={build.status} />
      </div>
      <progress
        className="overview-progress"
        aria-label={`${build.workspace}: ${progressWords(build)}`}
        max={1}
        {...(tasks !== null && { value: isRunning ? share : 1 })}
      />
      <div className="row between small soft">
        <span>{progressWords(build)}</span>
        <span>{estimateWords(build, left)}</span>
      </div>
      {isRunning && (build.waits_for ?? build.running.length > 0) && (
        <p className="small soft ellipsis">
          {build.waits_for ? `waits for ${build.waits_for}` : build.running.join(", ")}
        </p>
      )}
      {build.error && <p className="small">{build.error}</p>}
    </li>
  );
}

function progressWords({ tasks, done, failed }: BuildItem): string {
  if (tasks === null) return "its tasks are being found out";
  return `${done} of ${plural(tasks, "task")}${failed > 0 ? `, ${failed} failed` : ""}`;
}

function estimateWords(build: BuildItem, left: number | null): string {
  if (build.duration_ms !== null) return `took ${duration(build.duration_ms)}`;
  if (build.estimated_ms === null) return "no estimate";
  if (left === null || left <= 0)
    return `longer than the estimated ${duration(build.estimated_ms)}`;
  return `about ${duration(left)} left of ${duration(build.estimated_ms)}`;
}

import { Link } from "wouter";
import { Empty } from "@/components/states";
import { plural } from "@/format/format";
import { useBuilds, useItems } from "@/live/use-live";
import { RunningBuild } from "@/views/builds/running-builds";
import "@/views/builds/builds.css";

/** The builds that run now, how far each is, and how many wait behind them. */
export function RunningBuilds() {
  const running = useBuilds().filter((build) => build.status === "running");
  const queue = useItems("queue");
  const waiting = [...queue.values()].filter((item) => item.state === "waiting").length;
  const isPaused = queue.get("queue")?.paused === true;
  return (
    <section className="card" aria-label="Builds">
      <header>
        <h2>{running.length === 0 ? "Builds" : plural(running.length, "build")} running</h2>
        <Link href="/ui/queue" className="small">
          {isPaused ? "the queue is paused, " : ""}
          {waiting === 0 ? "nobody waits" : plural(waiting, "build waits", "builds wait")}
        </Link>
      </header>
      {running.length === 0 && (
        <Empty title="Nothing is built now">
          <span className="soft">
            Builds of all nodes are shown here as they run.{" "}
            <Link href="/ui/builds">The record</Link>
          </span>
        </Empty>
      )}
      <div className="grid">
        {running.map((build) => (
          <RunningBuild key={build.id} build={build} />
        ))}
      </div>
    </section>
  );
}

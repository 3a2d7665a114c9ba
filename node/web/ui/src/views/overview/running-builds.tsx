import { Link } from "wouter";
import { NothingNow } from "@/components/nothing-now";
import { useBuilds, useItems, useOfFeed } from "@/live/use-live";
import { RunningBuild } from "@/views/builds/running-builds";
import { standingOf } from "@/views/builds/standing";
import { buildsInWords } from "@/views/overview/running-words";
import "@/views/builds/builds.css";

/** The builds that run now, how far each is, and how many wait behind them. */
export function RunningBuilds() {
  const running = useBuilds().filter((build) => build.status === "running");
  const queue = useItems("queue");
  const { head, behind } = buildsInWords(
    new Map(running.map((build) => [build.id, standingOf(build, queue.get(build.id))])),
    queue,
  );
  const isTold = useOfFeed((feed) => feed.status === "live");
  const isPaused = queue.get("queue")?.paused === true;
  return (
    <section className="card" aria-label="Builds">
      <header>
        <h2>{head}</h2>
        <Link href="/ui/queue" className="small">
          {isPaused ? "the queue is paused, " : ""}
          {isTold ? behind : "to the queue"}
        </Link>
      </header>
      {running.length === 0 && (
        <NothingNow title="Nothing is built">
          <span className="soft">
            Builds of all nodes are shown here as they run.{" "}
            <Link href="/ui/builds">The record</Link>
          </span>
        </NothingNow>
      )}
      <div className="grid">
        {running.map((build) => (
          <RunningBuild key={build.id} build={build} />
        ))}
      </div>
    </section>
  );
}

import { Link } from "wouter";
import { Age, useNow } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { NothingNow } from "@/components/nothing-now";
import { Who } from "@/components/who";
import { duration, plural, shortId } from "@/format/format";
import type { BuildItem } from "@/live/items";
import { useBuilds, useItems } from "@/live/use-live";
import { useSilence } from "@/live/use-silence";
import { Progress } from "@/views/builds/progress";
import { standingOf } from "@/views/builds/standing";

/** The builds of the whole pool that run now. */
export function RunningBuilds() {
  const builds = useBuilds()
    .filter((one) => one.status === "running")
    .sort((a, b) => startOf(a) - startOf(b));
  const queue = useItems("queue");
  const running = builds.filter(
    (build) => standingOf(build, queue.get(build.id)).state === "running",
  ).length;
  const waiting = builds.length - running;
  const words = [
    plural(running, "build"),
    ...(waiting === 0 ? [] : [plural(waiting, "waits", "wait")]),
  ].join(", ");
  return (
    <section aria-label="Running builds" className="stack tight">
      <div className="row">
        <h2>Running</h2>
        {builds.length > 0 && <output className="soft small">{words}</output>}
      </div>
      {builds.length === 0 ? (
        <NothingNow title="No build runs in the pool" />
      ) : (
        <div className="grid">
          {builds.map((build) => (
            <RunningBuild key={build.id} build={build} />
          ))}
        </div>
      )}
    </section>
  );
}

/** One of them: how far it is, and what it does. */
export function RunningBuild({ build }: { build: BuildItem }) {
  const { state, why } = standingOf(build, useItems("queue").get(build.id));
  const now = useNow();
  const silence = useSilence();
  const elapsed = Math.max(0, (silence?.heardAt ?? now) - startOf(build));
  const left = build.estimated_ms === null ? null : Math.max(0, build.estimated_ms - elapsed);
  return (
    <Link href={`/ui/builds/${build.id}`} className="card running-build">
      <div className="row between">
        <span className="ellipsis">
          <strong>{build.workspace}</strong> <code className="soft small">{shortId(build.id)}</code>
        </span>
        <StatusBadge status={state} />
      </div>
      <Progress
        done={build.done}
        failed={build.failed}
        total={build.tasks}
        running={build.running.length}
      />
      <div className="small soft">
        {duration(elapsed)} so far
        {state === "running" && left !== null && `, about ${duration(left)} left`}
        {silence !== null && (
          <>
            , as of <Age at={silence.heardAt} />
          </>
        )}
      </div>
      {why !== null && (
        <div className="small">{state === "paused" ? `paused: ${why}` : `waits ${why}`}</div>
      )}
      {build.running.length > 0 && (
        <div className="small ellipsis" title={build.running.join(", ")}>
          runs {build.running.map((task) => task.replace(/#build$/, "")).join(", ")}
        </div>
      )}
      <div className="small soft">
        <Who actor={build.actor} /> on {build.node}
        {build.this_node ? "" : " (another node)"}
      </div>
    </Link>
  );
}

/** The feed tells seconds since 1970, or a date. */
function startOf(build: BuildItem): number {
  const at: unknown = build.started_at;
  return typeof at === "number" ? at * 1000 : Date.parse(String(at));
}

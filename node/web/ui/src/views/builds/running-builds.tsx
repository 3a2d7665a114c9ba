import { Link } from "wouter";
import { useNow } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { Empty } from "@/components/states";
import { duration, plural } from "@/format/format";
import type { BuildItem } from "@/live/items";
import { useBuilds } from "@/live/use-live";
import { Progress } from "@/views/builds/progress";

/** The builds of the whole pool that run now. */
export function RunningBuilds() {
  const builds = useBuilds()
    .filter((one) => one.status === "running")
    .sort((a, b) => startOf(a) - startOf(b));
  return (
    <section aria-label="Running builds" className="stack tight">
      <div className="row">
        <h2>Running</h2>
        <output className="soft small">{plural(builds.length, "build")}</output>
      </div>
      {builds.length === 0 ? (
        <Empty title="No build runs in the pool now" />
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
  const elapsed = Math.max(0, useNow() - startOf(build));
  const left = build.estimated_ms === null ? null : Math.max(0, build.estimated_ms - elapsed);
  return (
    <Link href={`/ui/builds/${build.id}`} className="card running-build">
      <div className="row between">
        <strong className="ellipsis">{build.workspace}</strong>
        <StatusBadge status={build.waits_for === null ? "running" : "waiting"} />
      </div>
      <Progress
        done={build.done}
        failed={build.failed}
        total={build.tasks}
        running={build.running.length}
      />
      <div className="small soft">
        {duration(elapsed)} so far{left !== null && `, about ${duration(left)} left`}
      </div>
      {build.waits_for !== null && <div className="small">waits for {build.waits_for}</div>}
      {build.running.length > 0 && (
        <div className="small ellipsis" title={build.running.join(", ")}>
          runs {build.running.join(", ")}
        </div>
      )}
      <div className="small soft">
        {build.actor} on {build.node}
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

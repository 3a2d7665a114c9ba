import { Age, useNow } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { Command } from "@/components/command";
import { Who } from "@/components/who";
import { count, duration, plural } from "@/format/format";
import { useNodes } from "@/live/use-live";
import { useSilence } from "@/live/use-silence";
import { askedFor } from "@/views/builds/asked-for";
import { buildCommand } from "@/views/builds/commands";
import { EstimateWords } from "@/views/builds/estimate-words";
import { GoesBy } from "@/views/builds/goes-by";
import { homeOf, OnItsNode } from "@/views/builds/home";
import { doneOf } from "@/views/builds/live-build";
import { Progress } from "@/views/builds/progress";
import type { ShownBuild } from "@/views/builds/use-build";

/** How a build stands, in words and figures. */
export function BuildHead({ build }: { build: ShownBuild }) {
  const { told, live } = build;
  const said = told ?? live.begun;
  const nodes = useNodes();
  const estimate = told?.estimate ?? live.expected;
  const driver = driverOf(build, nodes);
  const silence = useSilence();
  const notices = new Set([...noticesOf(told), ...live.notices]);
  return (
    <section className="card build-head" aria-label="How it stands">
      <div className="row">
        <StatusBadge status={build.running && live.waitsFor !== null ? "waiting" : build.status} />
        <span>{inWords(build)}</span>
        {build.running && silence !== null && (
          <span className="small">
            as of <Age at={silence.heardAt} />: since then nothing is heard
          </span>
        )}
      </div>
      {build.running && (
        <Progress
          done={live.begun === null ? (told?.packages.length ?? 0) : doneOf(live)}
          failed={build.tasks.filter((task) => task.state === "failed").length}
          running={build.tasks.filter((task) => task.state === "running").length}
          total={live.total}
        />
      )}
      <dl className="figures">
        <Fact name="Workspace">{said?.workspace}</Fact>
        <Fact name="Asked for">{said?.request ? askedFor(said.request) : "unknown"}</Fact>
        <Fact name="Configuration">
          <GoesBy choice={said?.request?.choice ?? null} />
        </Fact>
        <Fact name="Asked by">{said ? <Who actor={said.triggered_by} /> : "unknown"}</Fact>
        <Fact name="Driven by">
          {driver}
          {told?.recorded_on?.kept_at != null && (
            <span className="soft">
              , which told this <Age at={told.recorded_on.kept_at * 1000} />
            </span>
          )}
        </Fact>
        <Fact name="Began">{said ? <Age at={said.started_at * 1000} /> : "unknown"}</Fact>
        <Fact name={build.running ? "So far" : "Took"}>
          {build.running ? (
            <Elapsed
              since={(said?.started_at ?? 0) * 1000}
              expectedMs={estimate?.estimated_ms ?? null}
              nowExpectedMs={live.nowExpectedMs ?? estimate?.estimated_ms ?? null}
            />
          ) : (
            duration(told?.duration_ms ?? live.ended?.duration_ms)
          )}
        </Fact>
        <Fact name="Expected">
          {estimate === null ? (
            <span className="soft">unknown, or nothing to run</span>
          ) : (
            <EstimateWords
              estimatedMs={estimate.estimated_ms}
              intervalMs={estimate.interval_ms as [number, number]}
              level={estimate.confidence_level}
            />
          )}
        </Fact>
        <Fact name="Results that were there">
          <Saved build={build} />
        </Fact>
      </dl>
      {[...notices].map((notice) => (
        <div key={notice} className="notice small">
          {notice}
        </div>
      ))}
      {said?.request && (
        <details>
          <summary className="soft small">On the command line</summary>
          <OnItsNode build={build} />
          <Command line={buildCommand(said.request, said.root)} />
          <Command
            line={
              build.running ? `buildnet build --attach ${build.id}` : `buildnet history ${build.id}`
            }
          />
        </details>
      )}
    </section>
  );
}

function noticesOf(told: ShownBuild["told"]): readonly string[] {
  return told?.notices ?? [];
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Elapsed({
  since,
  expectedMs,
  nowExpectedMs,
}: {
  since: number;
  expectedMs: number | null;
  nowExpectedMs: number | null;
}) {
  const now = useNow();
  const silence = useSilence();
  const elapsed = Math.max(0, (silence?.heardAt ?? now) - since);
  const left = nowExpectedMs === null ? 0 : nowExpectedMs - elapsed;
  return (
    <>
      {duration(elapsed)}
      <span className="soft">
        {left > 0 && `, about ${duration(left)} left`}
        {expectedMs !== null && elapsed > expectedMs && ", longer than expected"}
      </span>
    </>
  );
}

function inWords(build: ShownBuild): string {
  const { live } = build;
  const counts = (state: string) => build.tasks.filter((task) => task.state === state).length;
  if (build.running) {
    if (live.waitsFor !== null) return `It waits for ${live.waitsFor}`;
    if (live.phase !== null && live.phase !== "perform") return `It is at: ${live.phase}`;
    return "It runs";
  }
  const parts = [
    [counts("built"), "built"],
    [counts("cached"), "from caches"],
    [counts("unchanged"), "as before"],
    [counts("planned"), "would run"],
    [counts("failed"), "failed"],
    [counts("skipped"), "skipped"],
    [counts("cancelled"), "cancelled"],
  ] as const;
  const words = parts
    .filter(([found]) => found > 0)
    .map(([found, what]) => `${count(found)} ${what}`);
  return `${plural(build.tasks.length, "task")}${words.length > 0 ? `: ${words.join(", ")}` : ""}`;
}

/** What commands took whose results were there: measured where they once ran. */
function Saved({ build }: { build: ShownBuild }) {
  const there = build.tasks.filter((task) => task.state === "cached" || task.state === "unchanged");
  const known = there.filter((task) => task.report?.executed_ms != null);
  const sum = known.reduce((total, task) => total + (task.report?.executed_ms ?? 0), 0);
  if (there.length === 0) return "none";
  return (
    <>
      {there.length} of {build.tasks.length}
      {known.length > 0 && (
        <span className="soft">
          , {duration(sum)} of commands saved
          {known.length < there.length && ` (${there.length - known.length} not known)`}
        </span>
      )}
    </>
  );
}

function driverOf(
  build: ShownBuild,
  nodes: readonly { id: string; name: string; this_node: boolean }[],
) {
  const { told } = build;
  const durable = told?.durable ?? null;
  if (durable !== null && durable.state === "elsewhere") {
    return `${durable.node_name ?? durable.node ?? "another node"} (it took over)`;
  }
  const { name, isHere } = homeOf(build, nodes);
  if (durable !== null && durable.state === "ended elsewhere") {
    return `${durable.node_name ?? durable.node ?? "another node"} (it began on ${name})`;
  }
  return isHere ? `${name} (this node)` : name;
}

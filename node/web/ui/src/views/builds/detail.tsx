import { type ComponentType, lazy, Suspense } from "react";
import { Link, useParams } from "wouter";
import { Problem } from "@/api/problem";
import { ProblemView } from "@/components/problem-view";
import { Loading } from "@/components/states";
import { Tabs, useTab } from "@/components/tabs";
import { shortId } from "@/format/format";
import { quoted } from "@/format/shell";
import { ViewHead } from "@/layout/frame";
import { useSubject } from "@/layout/title";
import { BuildActions } from "@/views/builds/build-actions";
import { BuildHead } from "@/views/builds/build-head";
import { Failure } from "@/views/builds/failure";
import { KnownInLedger } from "@/views/builds/known-in-ledger";
import { type ShownBuild, useBuild } from "@/views/builds/use-build";
import "@/views/builds/builds.css";

type Tab = ComponentType<{ build: ShownBuild }>;

const TABS = [
  ["graph", "Graph"],
  ["timeline", "Timeline"],
  ["tasks", "Tasks"],
  ["log", "Log"],
  ["review", "Review"],
  ["artifacts", "Artifacts"],
] as const;
/** How the graph and the list of tasks were left: they stand in each part's address. */
const KEPT = ["package", "focus", "groups", "as", "find", "status", "node"];

const CONTENTS: Record<(typeof TABS)[number][0], Tab> = {
  graph: lazy(() => import("@/views/builds/graph-tab")),
  timeline: lazy(() => import("@/views/builds/timeline-tab")),
  tasks: lazy(() => import("@/views/builds/tasks-tab")),
  log: lazy(() => import("@/views/builds/log-tab")),
  review: lazy(() => import("@/views/builds/review-tab")),
  artifacts: lazy(() => import("@/views/builds/artifacts-tab")),
};

/** The code of a problem: the record of a build is on a node that can't be asked. */
const ELSEWHERE = "BUILD_ELSEWHERE";

/** One build, live while it runs. */
export default function BuildDetail() {
  const { id = "" } = useParams<{ id: string }>();
  return <Detail key={id} id={id} />;
}

function Detail({ id }: { id: string }) {
  const { build, problem, retry } = useBuild(id);
  useSubject(build === null ? shortId(id) : titleOf(build));
  if (build === null) {
    return problem ? (
      <div className="stack">
        <ProblemView problem={problem} command={`buildnet history ${quoted(id)}`} onRetry={retry}>
          <Link href="/ui/builds">To all builds</Link>
        </ProblemView>
        {Problem.from(problem).code === ELSEWHERE && <KnownInLedger id={id} />}
      </div>
    ) : (
      <Loading what="the build" lines={6} />
    );
  }
  return (
    <div className="stack">
      <ViewHead
        title={
          <>
            {workspaceOf(build) ?? "Build"} · {build.status} ·{" "}
            <span className="mono">{build.id}</span>
          </>
        }
      >
        <BuildActions build={build} />
      </ViewHead>
      {problem !== null && (
        <ProblemView problem={problem} command={`buildnet history ${quoted(id)}`} onRetry={retry}>
          <p>What is shown below is what its events told.</p>
        </ProblemView>
      )}
      <BuildHead build={build} />
      <Failure build={build} />
      <Parts build={build} />
    </div>
  );
}

/** What tells the tabs of several builds apart. */
function titleOf(build: ShownBuild): string {
  const parts = [workspaceOf(build), build.status, shortId(build.id)];
  return parts.filter((words) => words !== undefined).join(" ");
}

function workspaceOf({ told, live }: ShownBuild): string | undefined {
  return (told ?? live.begun)?.workspace;
}

function Parts({ build }: { build: ShownBuild }) {
  const current = useTab(TABS);
  const Content = CONTENTS[current];
  return (
    <>
      <Tabs label="Parts of the build" tabs={TABS} current={current} keeps={KEPT} />
      <Suspense fallback={<Loading what={current} />}>
        <Content build={build} />
      </Suspense>
    </>
  );
}

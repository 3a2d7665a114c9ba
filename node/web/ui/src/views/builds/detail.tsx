import { type ComponentType, lazy, Suspense } from "react";
import { Link, useParams, useSearchParams } from "wouter";
import { Problem } from "@/api/problem";
import { ProblemView } from "@/components/problem-view";
import { Loading } from "@/components/states";
import { useFilter } from "@/components/url-state";
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

const TABS: readonly (readonly [string, string, Tab])[] = [
  ["graph", "Graph", lazy(() => import("@/views/builds/graph-tab"))],
  ["timeline", "Timeline", lazy(() => import("@/views/builds/timeline-tab"))],
  ["tasks", "Tasks", lazy(() => import("@/views/builds/tasks-tab"))],
  ["log", "Log", lazy(() => import("@/views/builds/log-tab"))],
  ["review", "Review", lazy(() => import("@/views/builds/review-tab"))],
  ["artifacts", "Artifacts", lazy(() => import("@/views/builds/artifacts-tab"))],
];

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
            Build <span className="mono">{build.id}</span>
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
      <Tabs />
      <Shown build={build} />
    </div>
  );
}

/** What tells the tabs of several builds apart. */
function titleOf({ id, status, told, live }: ShownBuild): string {
  const { workspace } = told ?? live.begun ?? {};
  return [workspace, status, shortId(id)].filter((words) => words !== undefined).join(" ");
}

function Tabs() {
  const [current] = useFilter("tab", "graph");
  const [parameters] = useSearchParams();
  const to = (tab: string) => {
    const after = new URLSearchParams(parameters);
    // What is of one part alone: the same word means something else in another.
    for (const one of ["sort", "text", "part", "cursor", "task"]) after.delete(one);
    after.set("tab", tab);
    return `?${after}`;
  };
  return (
    <nav className="tabs" aria-label="Parts of the build">
      {TABS.map(([name, words]) => (
        <Link key={name} href={to(name)} {...(name === current && { "aria-current": "page" })}>
          {words}
        </Link>
      ))}
    </nav>
  );
}

function Shown({ build }: { build: ShownBuild }) {
  const [current] = useFilter("tab", "graph");
  const [, words, Content] = TABS.find(([name]) => name === current) ?? TABS[0] ?? [];
  if (Content === undefined) return null;
  return (
    <Suspense fallback={<Loading what={words ?? ""} />}>
      <Content build={build} />
    </Suspense>
  );
}

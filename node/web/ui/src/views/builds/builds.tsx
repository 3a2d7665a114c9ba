import { useQueryClient } from "@tanstack/react-query";
import { Hammer } from "lucide-react";
import { useEffect } from "react";
import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilter, useTypedFilter } from "@/components/url-state";
import { duration, plural } from "@/format/format";
import { ViewHead } from "@/layout/frame";
import { useBuilds } from "@/live/use-live";
import { askedFor } from "@/views/builds/asked-for";
import { BuildDialog } from "@/views/builds/build-dialog";
import { RunningBuilds } from "@/views/builds/running-builds";
import "@/views/builds/builds.css";

type Recorded = Schema["RecordedBuild"];
const PAGE = 50;
const STATUSES = ["succeeded", "failed", "cancelled"] as const;

/** All builds: those of the whole pool that run, and the record of this node. */
export default function Builds() {
  const [asking, setAsking] = useFilter("new");
  const mayBuild = useMay("trigger-build");
  return (
    <>
      <ViewHead title="Builds">
        <Link href="/ui/builds/trends" className="button">
          Trends
        </Link>
        <Link href="/ui/builds/compare" className="button">
          Compare
        </Link>
        {mayBuild && (
          <button type="button" className="button primary" onClick={() => setAsking("yes")}>
            <Hammer aria-hidden size={16} />
            Build…
          </button>
        )}
      </ViewHead>
      {asking !== "" && mayBuild && <BuildDialog onClose={() => setAsking("")} />}
      <div className="stack">
        <RunningBuilds />
        <History />
      </div>
    </>
  );
}

function History() {
  const [status, setStatus] = useFilter("status");
  const [workspace, setWorkspace] = useFilter("workspace");
  const [actor, setActor] = useFilter("actor");
  const [text] = useFilter("text");
  const [typed, setTyped] = useTypedFilter("text");
  const [cursor, setCursor] = useFilter("cursor");
  const mayLedger = useMay("view-ledger");
  const found = query.useQuery(
    "get",
    "/api/builds",
    {
      params: {
        query: {
          limit: PAGE,
          ...(cursor && { cursor }),
          ...(status && { status: status as Recorded["status"] }),
          ...(workspace && { workspace }),
          ...(actor && { actor }),
          ...(text && { text }),
        },
      },
    },
    { placeholderData: (before) => before },
  );
  useRefreshWhenOneEnds();
  const page = (found.data?.builds ?? []) as Recorded[];
  const names = useKnown(page);
  const counts = found.data?.counts ?? {};
  const total = STATUSES.reduce((sum, one) => sum + (counts[one] ?? 0), 0);
  const isFiltered = [status, workspace, actor, text].some((one) => one !== "");
  const builds = page.filter((one) => one.status !== "running");
  return (
    <section aria-label="Earlier builds" className="stack tight">
      <div className="row">
        <h2>Earlier builds of this node</h2>
        {mayLedger && (
          <Link href="/ui/ledger?type=build.*" className="small">
            Those of all nodes, in the ledger
          </Link>
        )}
      </div>
      <FilterBar
        noun="builds"
        shown={builds.length}
        total={found.data === undefined ? null : status ? (counts[status as "failed"] ?? 0) : total}
      >
        <SearchBox label="Search id, package, person" value={typed} onChange={setTyped} />
        <Choice
          label="Status"
          value={status}
          options={[
            ["", `any (${total})`],
            ...STATUSES.map((one) => [one, `${one} (${counts[one] ?? 0})`] as const),
          ]}
          onChange={setStatus}
        />
        <Choice
          label="Workspace"
          value={workspace}
          options={["", ...names.workspaces]}
          onChange={setWorkspace}
        />
        <Choice
          label="Asked by"
          value={actor}
          options={["", ...names.actors]}
          onChange={setActor}
        />
      </FilterBar>
      <NotAnswered asked={found} command="buildnet history" />
      {found.data === undefined ? (
        found.error === null && <Loading what="the record of builds" />
      ) : builds.length === 0 ? (
        <Empty title={isFiltered ? "No build fits these filters" : "No build has ended yet"}>
          <p className="soft">Builds that are asked of this node are recorded here.</p>
        </Empty>
      ) : (
        <>
          <Table
            caption="Earlier builds"
            columns={COLUMNS}
            rows={builds}
            keyOf={(one) => one.build_id}
          />
          <div className="row">
            {cursor !== "" && (
              <button type="button" className="button" onClick={() => setCursor("")}>
                To the newest
              </button>
            )}
            {found.data.next !== null && (
              <button
                type="button"
                className="button"
                onClick={() => setCursor(found.data?.next ?? "")}
              >
                Older builds
              </button>
            )}
            <EstimateQuality of={found.data.estimates} />
          </div>
        </>
      )}
    </section>
  );
}

const COLUMNS: Column<Recorded>[] = [
  {
    name: "build",
    cell: (one) => (
      <Link href={`/ui/builds/${one.build_id}`} className="mono">
        {one.build_id}
      </Link>
    ),
  },
  { name: "status", cell: (one) => <StatusBadge status={one.status} />, sort: (one) => one.status },
  { name: "workspace", cell: (one) => one.workspace, sort: (one) => one.workspace },
  { name: "asked for", cell: (one) => askedFor(one.request) },
  { name: "by", cell: (one) => one.triggered_by, sort: (one) => one.triggered_by },
  {
    name: "when",
    cell: (one) => <Age at={one.started_at * 1000} />,
    sort: (one) => one.started_at,
  },
  {
    name: "took",
    numeric: true,
    cell: (one) => duration(one.duration_ms),
    sort: (one) => one.duration_ms,
  },
  {
    name: "expected",
    numeric: true,
    cell: (one) =>
      one.estimated_ms === null ? <span className="soft">–</span> : duration(one.estimated_ms),
    sort: (one) => one.estimated_ms,
  },
];

function EstimateQuality({ of }: { of: Schema["EstimateQuality"] }) {
  if (of.median_error === null) return null;
  return (
    <span className="soft small">
      Estimates of the last {plural(of.builds, "build")}: half of them were off by at most{" "}
      {Math.round(of.median_error * 100)} %
      {of.within_interval !== null && `, ${Math.round(of.within_interval * 100)} % in their range`}
    </span>
  );
}

/** Workspaces and people that are known here, for the filters. */
function useKnown(builds: readonly Recorded[]) {
  const recent = query.useQuery("get", "/api/builds", { params: { query: { limit: 200 } } });
  const all = [...((recent.data?.builds ?? []) as Recorded[]), ...builds];
  return {
    workspaces: [...new Set(all.map((one) => one.workspace))].sort(),
    actors: [...new Set(all.map((one) => one.triggered_by))].sort(),
  };
}

function useRefreshWhenOneEnds(): void {
  const client = useQueryClient();
  const over = useBuilds()
    .filter((one) => one.status !== "running")
    .map((one) => one.id)
    .join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again whenever one has ended
  useEffect(() => {
    void client.invalidateQueries({ queryKey: ["get", "/api/builds"] });
  }, [client, over]);
}

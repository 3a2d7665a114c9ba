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
import { useFilter, useFilterInPlace, useTypedFilter } from "@/components/url-state";
import { Who } from "@/components/who";
import { byName, count, duration, plural } from "@/format/format";
import { whoText } from "@/format/who";
import { ViewHead } from "@/layout/frame";
import { useBuilds, useNodes } from "@/live/use-live";
import { useRefetchOnPool } from "@/live/use-refetch";
import { askedFor } from "@/views/builds/asked-for";
import { BuildDialog } from "@/views/builds/build-dialog";
import { RunningBuilds } from "@/views/builds/running-builds";
import "@/views/builds/builds.css";

type Listed = Schema["ListedBuild"];
const PAGE = 50;
const STATUSES = ["succeeded", "failed", "cancelled", "unknown"] as const;

/** All builds of all nodes: those that run, and those that are over. */
export default function Builds() {
  const [asking, setAsking] = useFilterInPlace("new");
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
  const [node, setNode] = useFilter("node");
  const [text] = useFilter("text");
  const [typed, setTyped] = useTypedFilter("text");
  const [cursor, setCursor] = useFilter("cursor");
  const found = query.useQuery(
    "get",
    "/api/builds",
    {
      params: {
        query: {
          limit: PAGE,
          ...(cursor && { cursor }),
          ...(status && { status: status as Listed["status"] }),
          ...(workspace && { workspace }),
          ...(actor && { actor }),
          ...(node && { node }),
          ...(text && { text }),
        },
      },
    },
    { placeholderData: (before) => before },
  );
  useRefreshWhenOneEnds();
  const page = (found.data?.builds ?? []) as Listed[];
  const names = useKnown(page);
  const counts = found.data?.counts ?? {};
  const total = STATUSES.reduce((sum, one) => sum + (counts[one] ?? 0), 0);
  const counted = (number = 0) => (found.data === undefined ? "" : ` (${count(number)})`);
  const isFiltered = [status, workspace, actor, node, text].some((one) => one !== "");
  const builds = page.filter((one) => one.status !== "running"); // what runs is shown above
  return (
    <section aria-label="Earlier builds" className="stack tight">
      <h2>Earlier builds</h2>
      <FilterBar
        noun="build"
        shown={found.data === undefined ? null : builds.length}
        total={
          found.data === undefined
            ? null
            : status
              ? (counts[status as Listed["status"]] ?? 0)
              : total
        }
      >
        <SearchBox label="Search id, package, person" value={typed} onChange={setTyped} />
        <Choice
          label="Status"
          value={status}
          options={[
            ["", `any${counted(total)}`],
            ...STATUSES.map((one) => [one, `${one}${counted(counts[one])}`] as const),
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
          options={["", ...names.actors.map((one) => [one, whoText(one)] as const)]}
          onChange={setActor}
        />
        <Choice
          label="Node"
          value={node}
          options={[["", "all"], ...names.nodes]}
          onChange={setNode}
        />
      </FilterBar>
      {found.data?.complete === false && (
        <div className="notice">
          This node still reads in its ledger what others built: there may be more.
        </div>
      )}
      <NotAnswered asked={found} command="buildnet history" />
      {found.data === undefined ? (
        found.error === null && <Loading what="the record of builds" />
      ) : builds.length === 0 ? (
        <Empty title={isFiltered ? "No build fits these filters" : "No build has ended yet"}>
          <p className="soft">Builds of all nodes are listed here.</p>
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

const COLUMNS: Column<Listed>[] = [
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
  { name: "node", cell: (one) => one.node, sort: (one) => one.node },
  { name: "by", cell: (one) => <Who actor={one.triggered_by} />, sort: (one) => one.triggered_by },
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
      one.estimated_ms === null ? (
        <span className="soft" title={one.this_node ? "not estimated" : `only ${one.node} knows`}>
          –
        </span>
      ) : (
        duration(one.estimated_ms)
      ),
    sort: (one) => one.estimated_ms,
  },
];

function EstimateQuality({ of }: { of: Schema["EstimateQuality"] }) {
  if (of.median_error === null) return null;
  return (
    <span className="soft small">
      Estimates of the last {plural(of.builds, "build")} of this node: half of them were off by at
      most {Math.round(of.median_error * 100)} %
      {of.within_interval !== null && `, ${Math.round(of.within_interval * 100)} % in their range`}
    </span>
  );
}

/** Workspaces, people and nodes that are known here, for the filters. */
function useKnown(builds: readonly Listed[]) {
  const recent = query.useQuery("get", "/api/builds", { params: { query: { limit: 200 } } });
  const all = [...((recent.data?.builds ?? []) as Listed[]), ...builds];
  const members = useNodes().map((one) => [one.id, one.name] as const);
  const nodes = new Map([...all.map((one) => [one.node_id, one.node] as const), ...members]);
  return {
    nodes: [...nodes].sort(([, one], [, other]) => byName(one, other)),
    workspaces: [...new Set(all.map((one) => one.workspace))].sort(),
    actors: [...new Set(all.map((one) => one.triggered_by))].sort(),
  };
}

function useRefreshWhenOneEnds(): void {
  const client = useQueryClient();
  useRefetchOnPool(["get", "/api/builds"], "builds");
  const over = useBuilds()
    .filter((one) => one.status !== "running")
    .map((one) => one.id)
    .join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again whenever one has ended
  useEffect(() => {
    void client.invalidateQueries({ queryKey: ["get", "/api/builds"] });
  }, [client, over]);
}

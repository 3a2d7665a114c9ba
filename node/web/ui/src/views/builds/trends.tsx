import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { Badge } from "@/components/badge";
import { Command } from "@/components/command";
import { FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { duration, plural } from "@/format/format";
import { quoted } from "@/format/shell";
import { ViewHead } from "@/layout/frame";
import { Sparkline } from "@/views/builds/sparkline";
import "@/views/builds/builds.css";

type Trend = Schema["TaskTrend"];
const PART = 50;

/** How the tasks of a workspace fared in its latest builds. */
export default function Trends() {
  const [workspace] = useFilter("workspace");
  const [name] = useFilter("package");
  return (
    <div className="stack">
      <ViewHead title="Trends">
        <Link href="/ui/builds" className="button">
          All builds
        </Link>
      </ViewHead>
      <TrendsOf workspace={workspace || null} name={name || null} />
    </div>
  );
}

/** `name`: of this package alone. */
export function TrendsOf({ workspace, name }: { workspace: string | null; name: string | null }) {
  const [text, setText] = useFilterInPlace("text");
  const found = query.useQuery("get", "/api/builds/trends", {
    params: {
      query: { ...(workspace && { workspace }), ...(name && { package: name }), builds: 100 },
    },
  });
  const command = `buildnet history ${name === null ? "" : `${quoted(name)} `}--trends${
    workspace === null ? "" : ` --workspace ${quoted(workspace)}`
  }`;
  const problem = <NotAnswered asked={found} command={command} />;
  if (found.data === undefined) return found.error ? problem : <Loading what="the trends" />;
  const trends = found.data as Schema["BuildTrends"];
  if (trends.tasks.length === 0) {
    const of = [name, trends.workspace].filter((one) => one !== null).join(" in ");
    return (
      <>
        {problem}
        <Empty
          title={of === "" ? "No build ran on this node yet" : `No build here tells of ${of} yet`}
        >
          <p className="soft">Trends are of the builds that ran on this node.</p>
          <Command line="buildnet history" />
        </Empty>
      </>
    );
  }
  const wanted = text.trim().toLowerCase();
  const rows = trends.tasks.filter((one) => one.task.toLowerCase().includes(wanted));
  return (
    <section className="stack tight" aria-label="Trends">
      {problem}
      <p>
        <strong>{trends.workspace}</strong>, {plural(trends.builds, "build")} that had to look at
        something: results were there{" "}
        {trends.overall.hit_rate === null
          ? "unknown"
          : `${Math.round(trends.overall.hit_rate * 100)} %`}{" "}
        of the time, {plural(trends.overall.ran, "run")}, {trends.overall.failed} failed
      </p>
      <FilterBar noun="task" shown={rows.length} total={trends.tasks.length}>
        <SearchBox label="Find a task" value={text} onChange={setText} />
      </FilterBar>
      <Table
        caption="Tasks over the latest builds"
        columns={COLUMNS}
        rows={rows}
        step={PART}
        keyOf={(one) => one.task}
      />
      <Command line={command} />
    </section>
  );
}

const COLUMNS: Column<Trend>[] = [
  { name: "task", cell: (one) => one.task, sort: (one) => one.task },
  {
    name: "median",
    numeric: true,
    cell: (one) => duration(one.p50_ms),
    sort: (one) => one.p50_ms,
  },
  {
    name: "p90",
    title: "9 of 10 within",
    numeric: true,
    cell: (one) => duration(one.p90_ms),
    sort: (one) => one.p90_ms,
  },
  { name: "latest", title: "latest times", cell: (one) => <Sparkline points={one.points} /> },
  { name: "ran", numeric: true, cell: (one) => one.ran, sort: (one) => one.ran },
  {
    name: "there",
    title: "was there",
    numeric: true,
    cell: (one) => (one.hit_rate === null ? "unknown" : `${Math.round(one.hit_rate * 100)} %`),
    sort: (one) => one.hit_rate,
  },
  {
    name: "failed",
    numeric: true,
    cell: (one) => (one.failed > 0 ? <Badge tone="bad">{one.failed}</Badge> : 0),
    sort: (one) => one.failed,
  },
];

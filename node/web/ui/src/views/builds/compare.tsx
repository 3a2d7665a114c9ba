import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { StatusBadge } from "@/components/badge";
import { Command } from "@/components/command";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilter, useFilterInPlace, useSetFilters } from "@/components/url-state";
import { dateTime, duration } from "@/format/format";
import { ViewHead } from "@/layout/frame";
import { resultWords } from "@/views/builds/tasks";
import "@/views/builds/builds.css";
import { quoted } from "@/format/shell";

type Compared = Schema["ComparedTask"];
const PART = 50;

/** Two builds beside each other: `a`, the one before, and `b`. */
export default function Compare() {
  const [a, setA] = useFilter("a");
  const [b, setB] = useFilter("b");
  const setBoth = useSetFilters();
  const builds = query.useQuery("get", "/api/builds", { params: { query: { limit: 100 } } });
  const over = ((builds.data?.builds ?? []) as Schema["ListedBuild"][]).filter(
    (one) => one.status !== "running",
  );
  const later = over.find((one) => one.build_id === b);
  const options: (readonly [string, string])[] = [
    ["", "choose a build"],
    ...over.map(
      (one) =>
        [
          one.build_id,
          `${one.build_id} · ${one.workspace} · ${one.node} · ${one.status} · ${dateTime(one.started_at * 1000)}`,
        ] as const,
    ),
  ];
  const before = over.find(
    (one) =>
      later !== undefined && one.workspace === later.workspace && one.started_at < later.started_at,
  );
  return (
    <div className="stack">
      <ViewHead title="Two builds beside each other">
        <Link href="/ui/builds" className="button">
          All builds
        </Link>
      </ViewHead>
      <NotAnswered asked={builds} command="buildnet history" />
      <div className="card row compared">
        <Choice label="Before" value={a} options={options} onChange={setA} />
        <Choice label="After" value={b} options={options} onChange={setB} />
        {a === "" && before !== undefined && (
          <button type="button" className="button" onClick={() => setA(before.build_id)}>
            The one before it
          </button>
        )}
        {a !== "" && b !== "" && (
          <button type="button" className="button" onClick={() => setBoth({ a: b, b: a })}>
            Exchange
          </button>
        )}
      </div>
      {a !== "" && b !== "" ? (
        <Comparison a={a} b={b} />
      ) : (
        <Empty title="Choose two builds">
          <p className="soft">Then it is told what the second did otherwise, and why.</p>
        </Empty>
      )}
    </div>
  );
}

function Comparison({ a, b }: { a: string; b: string }) {
  const found = query.useQuery("get", "/api/builds/compare", {
    params: { query: { before: a, after: b } },
  });
  const [text, setText] = useFilterInPlace("text");
  const [only, setOnly] = useFilter("only");
  const command = `buildnet history ${quoted(a)} --compare ${quoted(b)}`;
  const problem = <NotAnswered asked={found} command={command} />;
  if (found.data === undefined) return found.error ? problem : <Loading what="the comparison" />;
  const { before, after, tasks } = found.data as Schema["BuildComparison"];
  const wanted = text.trim().toLowerCase();
  const rows = tasks.filter(
    (one) =>
      one.task.toLowerCase().includes(wanted) &&
      (only === "" ||
        (only === "key" && one.other_key) ||
        (only === "tier" && one.other_tier) ||
        (only === "slower" && (one.difference_ms ?? 0) > 0) ||
        (only === "one" && (one.before === null || one.after === null))),
  );
  return (
    <section className="stack tight" aria-label="Comparison">
      {problem}
      <div className="grid">
        <Side title="Before" build={before} />
        <Side title="After" build={after} than={before} />
      </div>
      <FilterBar noun="task" shown={rows.length} total={tasks.length}>
        <SearchBox label="Find a task" value={text} onChange={setText} />
        <Choice
          label="Only"
          value={only}
          options={[
            ["", "all that differ"],
            ["slower", "slower"],
            ["key", "another key"],
            ["tier", "came another way"],
            ["one", "in one alone"],
          ]}
          onChange={setOnly}
        />
      </FilterBar>
      {tasks.length === 0 ? (
        <Empty title="They did the same" />
      ) : (
        <Table
          caption="Tasks of both builds"
          columns={COLUMNS}
          rows={rows}
          step={PART}
          keyOf={(one) => one.task}
        />
      )}
      <Command line={command} />
    </section>
  );
}

function Side({
  title,
  build,
  than,
}: {
  title: string;
  build: Schema["ComparedBuild"];
  than?: Schema["ComparedBuild"];
}) {
  const difference =
    than === undefined || than.duration_ms === null || build.duration_ms === null
      ? null
      : build.duration_ms - than.duration_ms;
  return (
    <div className="card stack tight">
      <div className="row between">
        <strong>{title}</strong>
        <StatusBadge status={build.status} />
      </div>
      <Link href={`/ui/builds/${build.build_id}`} className="mono">
        {build.build_id}
      </Link>
      <span>
        {build.workspace}, {duration(build.duration_ms)}
        {difference !== null && <span className="soft"> ({signed(difference)})</span>}
      </span>
    </div>
  );
}

function signed(ms: number): string {
  if (Math.abs(ms) < 1) return "as long";
  return ms > 0 ? `${duration(ms)} longer` : `${duration(-ms)} shorter`;
}

const COLUMNS: Column<Compared>[] = [
  {
    name: "task",
    cell: (one) => (
      <span className="task-name" title={one.task}>
        {one.task}
      </span>
    ),
    sort: (one) => one.task,
  },
  { name: "before", cell: (one) => <Cell side={one.before} /> },
  { name: "after", cell: (one) => <Cell side={one.after} /> },
  {
    name: "difference",
    numeric: true,
    cell: (one) => (one.difference_ms === null ? "" : signed(one.difference_ms)),
    sort: (one) => one.difference_ms,
  },
  {
    name: "key",
    cell: (one) =>
      one.other_key ? (
        <span className="small">
          {one.changes === null ? (
            <span className="soft">another; how is not known any more</span>
          ) : (
            one.changes.join("; ") || "another"
          )}
        </span>
      ) : (
        <span className="soft">the same</span>
      ),
  },
];

function Cell({ side }: { side: Schema["ComparedSide"] | null }) {
  if (side === null) return <span className="soft">not in it</span>;
  return (
    <span className="small">
      {resultWords(side) || side.status}
      {side.work_ms > 0 && `, ${duration(side.work_ms)}`}
      {side.node_name !== null && <span className="soft"> on {side.node_name}</span>}
    </span>
  );
}

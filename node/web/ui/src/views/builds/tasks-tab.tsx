import { Link } from "wouter";
import { useNow } from "@/components/age";
import { Badge } from "@/components/badge";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { LOOKS } from "@/components/package-graph/states";
import { type Column, Table } from "@/components/table";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { duration, plural } from "@/format/format";
import { logsOf } from "@/views/builds/log-tasks";
import { type BuildTask, type Names, nodeName, ORDER, resultWords } from "@/views/builds/tasks";
import type { ShownBuild } from "@/views/builds/use-build";
import { useNames } from "@/views/builds/use-names";
import "@/components/package-graph/package-graph.css";

const PART = 50;

/** Every task of a build in a table. */
export default function TasksTab({ build }: { build: ShownBuild }) {
  const [status, setStatus] = useFilter("status");
  const [node, setNode] = useFilter("node");
  const [text, setText] = useFilterInPlace("text");
  const names = useNames();
  const nodes = [
    ...new Set(build.tasks.map((task) => nodeName(task.report, task.node, names))),
  ].filter((name) => name !== "");
  const states = [...new Set(build.tasks.map((task) => task.state))];
  const wanted = text.trim().toLowerCase();
  const found = build.tasks.filter(
    (task) =>
      (status === "" || task.state === status) &&
      (node === "" || nodeName(task.report, task.node, names) === node) &&
      task.key.toLowerCase().includes(wanted),
  );
  const columns = columnsOf(names);
  const rows = [...found].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
  return (
    <section aria-label="Tasks">
      <FilterBar noun="task" shown={found.length} total={build.tasks.length}>
        <SearchBox label="Find a task" value={text} onChange={setText} />
        <Choice
          label="State"
          value={status}
          options={["", ...states.map((state) => [state, LOOKS[state].words] as const)]}
          onChange={setStatus}
        />
        {nodes.length > 1 && (
          <Choice label="Node" value={node} options={["", ...nodes]} onChange={setNode} />
        )}
      </FilterBar>
      <Table caption="Tasks" columns={columns} rows={rows} step={PART} keyOf={(task) => task.key} />
    </section>
  );
}

function columnsOf(names: Names): Column<BuildTask>[] {
  return [
    {
      name: "task",
      cell: (task) => (
        <Link
          className="task-name"
          title={task.key}
          href={`?tab=graph&package=${encodeURIComponent(task.name)}`}
        >
          {task.key}
        </Link>
      ),
      sort: (task) => task.key,
    },
    {
      name: "state",
      cell: (task) => (
        <span className={`graph-key ${task.state}`}>
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path
              d={LOOKS[task.state].path}
              className={LOOKS[task.state].filled ? "filled" : "line"}
            />
          </svg>
          {stateWords(task)}
        </span>
      ),
      sort: stateWords,
    },
    { name: "why", cell: (task) => <Why task={task} /> },
    {
      name: "node",
      cell: (task) => nodeName(task.report, task.node, names),
      sort: (task) => nodeName(task.report, task.node, names),
    },
    {
      name: "took",
      numeric: true,
      cell: (task) => <Took task={task} />,
      sort: (task) => task.report?.duration_ms,
    },
    {
      name: "command",
      numeric: true,
      cell: (task) => (task.report?.executed_ms == null ? "" : duration(task.report.executed_ms)),
      sort: (task) => task.report?.executed_ms,
    },
    { name: "tests", cell: (task) => <Tests task={task} /> },
    {
      name: "log",
      cell: (task) => (
        <span className="row small">
          {logsOf(task).map(({ key, words }) => (
            <Link key={key} href={`?tab=log&task=${encodeURIComponent(key)}`}>
              {words}
              <span className="unseen"> of {key}</span>
            </Link>
          ))}
        </span>
      ),
    },
  ];
}

/** What came of a task where that is known, in place of the state that its colour stands for. */
function stateWords(task: BuildTask): string {
  return (task.report && resultWords(task.report)) || LOOKS[task.state].words;
}

/** How long a task took, or runs by now. */
function Took({ task }: { task: BuildTask }) {
  if (task.report !== null) return duration(task.report.duration_ms);
  return task.since === null ? "" : <Running since={task.since} />;
}

function Running({ since }: { since: number }) {
  return <>{duration(Math.max(0, useNow() - since))} so far</>;
}

function Why({ task }: { task: BuildTask }) {
  const reasons = task.report?.reasons ?? [];
  const error = task.report?.error?.message;
  return (
    <span className="small">
      {error ?? reasons.slice(0, 2).join("; ")}
      {error == null && reasons.length > 2 && (
        <span className="soft" title={reasons.join("\n")}>
          {" "}
          and {reasons.length - 2} more
        </span>
      )}
    </span>
  );
}

function Tests({ task }: { task: BuildTask }) {
  const { tests, shards = [], retries = [] } = task.report ?? {};
  return (
    <span className="row small">
      {tests != null && (
        <span>
          {tests.passed} of {tests.total} passed
          {tests.skipped > 0 && `, ${tests.skipped} skipped`}
        </span>
      )}
      {tests != null && tests.failed > 0 && <Badge tone="bad">{tests.failed} failed</Badge>}
      {tests != null && tests.flaky.length > 0 && (
        <span title={tests.flaky.join("\n")}>
          <Badge tone="warn">{tests.flaky.length} flaky</Badge>
        </span>
      )}
      {shards.length > 0 && <Badge>{plural(shards.length, "shard")}</Badge>}
      {retries.length > 0 && (
        <Badge tone="warn">{plural(retries.length, "retry", "retries")}</Badge>
      )}
    </span>
  );
}

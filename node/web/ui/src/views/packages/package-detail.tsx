import { Hammer, X } from "lucide-react";
import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { useFilter } from "@/components/url-state";
import { duration, plural } from "@/format/format";
import { quoted } from "@/format/shell";
import { useSubject } from "@/layout/title";
import { Sparkline } from "@/views/builds/sparkline";
import { bodyOf, useStart } from "@/views/builds/start";

/** One package: what it is made from, what it needs, who needs it, how it fared. */
export function PackageDetail({
  workspace,
  name,
  onClose,
}: {
  workspace: Schema["Workspace"];
  name: string;
  onClose: () => void;
}) {
  const mayBuild = useMay("trigger-build");
  const start = useStart();
  useSubject(`${name} of ${workspace.name}`);
  const one = workspace.packages.find((each) => each.name === name);
  if (one === undefined) return <p>There is no package {name}.</p>;
  const neededBy = workspace.packages.filter((each) => each.dependencies.includes(name));
  return (
    <>
      <div className="row between">
        <h2>{name}</h2>
        <button
          type="button"
          className="button plain icon"
          aria-label="Close the package"
          onClick={onClose}
        >
          <X aria-hidden size={16} />
        </button>
      </div>
      <code className="soft small">{one.path}</code>
      <Related title="Needs" names={one.dependencies} />
      <Related title="Needed by" names={neededBy.map((each) => each.name)} />
      {one.details.map((task) => (
        <Task key={task.name} task={task} />
      ))}
      <History workspace={workspace.name} name={name} />
      <Flaky workspace={workspace.name} name={name} />
      {mayBuild && (
        <div className="row">
          <button
            type="button"
            className="button primary"
            onClick={() => start(bodyOf(workspace.root, { packages: [name] }))}
          >
            <Hammer aria-hidden size={16} />
            Build it
          </button>
        </div>
      )}
    </>
  );
}

function Related({ title, names }: { title: string; names: readonly string[] }) {
  const [, select] = useFilter("package");
  return (
    <div className="small">
      <strong>
        {title} {names.length > 0 && names.length}
      </strong>{" "}
      {names.length === 0 && <span className="soft">nothing</span>}
      <span className="row">
        {names.slice(0, 30).map((name) => (
          <button
            key={name}
            type="button"
            className="button plain link"
            onClick={() => select(name)}
          >
            {name}
          </button>
        ))}
        {names.length > 30 && <span className="soft">and {names.length - 30} more</span>}
      </span>
    </div>
  );
}

function Task({ task }: { task: Schema["WorkspaceTask"] }) {
  return (
    <div className="stack tight">
      <h3>{task.name}</h3>
      <dl className="facts small">
        <dt>Command</dt>
        <dd>{task.command === null ? "none" : <code>{task.command}</code>}</dd>
        <dt>Sources</dt>
        <dd>
          {task.sources.map((source) => (
            <code key={source}>{source} </code>
          ))}
          {task.all_files && <span className="soft">all its files that git does not ignore</span>}
        </dd>
        <dt>Outputs</dt>
        <dd>{task.outputs.length === 0 ? "none" : <code>{task.outputs.join(" ")}</code>}</dd>
        {task.depends_on.length > 0 && (
          <>
            <dt>After</dt>
            <dd>{task.depends_on.join(", ")}</dd>
          </>
        )}
        {task.tools.length > 0 && (
          <>
            <dt>Tools</dt>
            <dd>{task.tools.join(", ")}</dd>
          </>
        )}
      </dl>
    </div>
  );
}

function History({ workspace, name }: { workspace: string; name: string }) {
  const found = query.useQuery("get", "/api/builds/trends", {
    params: { query: { workspace, package: name, builds: 100 } },
  });
  const problem = (
    <NotAnswered asked={found} command={`buildnet history ${quoted(name)} --trends`} />
  );
  if (found.data === undefined) {
    return found.error ? problem : <Loading what="its history" lines={2} />;
  }
  const { tasks } = found.data as Schema["BuildTrends"];
  if (tasks.length === 0) {
    return (
      <>
        {problem}
        <p className="soft small">No build of this node looked at it yet.</p>
      </>
    );
  }
  return (
    <div className="stack tight">
      <h3>History</h3>
      {problem}
      {tasks.map((task) => (
        <div key={task.task} className="small">
          <div className="row between">
            <strong>{task.task}</strong>
            <Sparkline points={task.points} />
          </div>
          <span className="soft">
            {plural(task.ran, "run")}, {task.failed} failed, median {duration(task.p50_ms)}, there{" "}
            {task.hit_rate === null ? "unknown" : `${Math.round(task.hit_rate * 100)} %`} of the
            time
          </span>
          {task.points.length > 0 && (
            <div className="row">
              {[...task.points]
                .sort((a, b) => b.started_at - a.started_at)
                .slice(0, 3)
                .map((point) => (
                  <Link key={point.build_id} href={`/ui/builds/${point.build_id}`}>
                    {duration(point.executed_ms)} <Age at={point.started_at * 1000} />
                  </Link>
                ))}
            </div>
          )}
        </div>
      ))}
    </div>
  );
}

function Flaky({ workspace, name }: { workspace: string; name: string }) {
  const found = query.useQuery("get", "/api/tests/flaky", { params: { query: { workspace } } });
  const tests = ((found.data?.flaky ?? []) as Schema["FlakyTest"][]).filter(
    (one) => one.task.split("#", 1)[0] === name,
  );
  if (tests.length === 0) return null;
  return (
    <div className="small">
      <h3>Flaky tests</h3>
      <ul className="reasons">
        {tests.map((test) => (
          <li key={`${test.task} ${test.name}`}>
            {test.name ?? `all of ${test.task}`}: {plural(test.count, "time")}, last{" "}
            <Age at={test.last_at * 1000} />
          </li>
        ))}
      </ul>
    </div>
  );
}

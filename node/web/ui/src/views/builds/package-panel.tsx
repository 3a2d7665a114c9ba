import { Hammer, X } from "lucide-react";
import { Link } from "wouter";
import { useMay } from "@/api/session";
import { LOOKS } from "@/components/package-graph/states";
import { duration } from "@/format/format";
import { again, useStart } from "@/views/builds/start";
import { type BuildTask, nodeName, resultWords } from "@/views/builds/tasks";
import type { ShownBuild } from "@/views/builds/use-build";
import { useNames } from "@/views/builds/use-names";

/** One package of a build: its tasks, why they ran, where, and how long. */
export function PackagePanel({
  build,
  name,
  onClose,
}: {
  build: ShownBuild;
  name: string;
  onClose: () => void;
}) {
  const mayBuild = useMay("trigger-build");
  const start = useStart();
  const said = build.told ?? build.live.begun;
  const tasks = build.tasks.filter((task) => task.name === name);
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
      {build.paths.get(name) && <code className="soft small">{build.paths.get(name)}</code>}
      {tasks.map((task) => (
        <TaskFacts key={task.key} task={task} />
      ))}
      {mayBuild && said?.request && (
        <button
          type="button"
          className="button primary"
          onClick={() => start(again(said.root, { ...said.request, dry_run: false }, [name]))}
        >
          <Hammer aria-hidden size={16} />
          Build just this one
        </button>
      )}
    </>
  );
}

function TaskFacts({ task }: { task: BuildTask }) {
  const names = useNames();
  const { report } = task;
  return (
    <div className="stack tight">
      <h3>
        {task.task} <span className={`graph-key ${task.state}`}>{LOOKS[task.state].words}</span>
      </h3>
      <dl className="facts small">
        {report?.tier && resultWords(report) && (
          <>
            <dt>Result</dt>
            <dd>
              {resultWords(report)} <span className="soft">({report.tier})</span>
            </dd>
          </>
        )}
        {task.node !== null && (
          <>
            <dt>Node</dt>
            <dd>{nodeName(report, task.node, names)}</dd>
          </>
        )}
        {report !== null && (
          <>
            <dt>Took</dt>
            <dd>
              {duration(report.duration_ms)}
              {report.executed_ms != null && (
                <span className="soft">, its command {duration(report.executed_ms)}</span>
              )}
            </dd>
          </>
        )}
        {report?.isolation && (
          <>
            <dt>Isolation</dt>
            <dd>{report.isolation}</dd>
          </>
        )}
        <dt>Needs</dt>
        <dd>{task.needs.length === 0 ? "nothing else" : task.needs.join(", ")}</dd>
      </dl>
      {report !== null && report.reasons.length > 0 && (
        <div className="small">
          <strong>Why it was not as before</strong>
          <ul className="reasons">
            {report.reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </div>
      )}
      {report?.error && <div className="small notice bad">{report.error.message}</div>}
      {(report?.log || task.state === "running") && (
        <Link href={`?tab=log&task=${encodeURIComponent(`${task.name}#${task.task}`)}`}>
          Its output
        </Link>
      )}
    </div>
  );
}

import { CircleAlert } from "lucide-react";
import { Link } from "wouter";
import { Command } from "@/components/command";
import { Excerpt } from "@/components/log-viewer/excerpt";
import { useFilter } from "@/components/url-state";
import { plural } from "@/format/format";
import { quoted } from "@/format/shell";
import { buildCommand } from "@/views/builds/commands";
import { OnItsNode } from "@/views/builds/home";
import { nextStep } from "@/views/builds/next-step";
import type { BuildTask } from "@/views/builds/tasks";
import type { ShownBuild } from "@/views/builds/use-build";

const SHOWN = 3;
/** So many lines of the end, where the log itself is below. */
const BESIDE_LOG = 3;

/** What failed, on top: why, the end of its output, what helps, and how to try it in a terminal. */
export function Failure({ build }: { build: ShownBuild }) {
  const failed = build.tasks.filter((task) => task.state === "failed");
  const whole = wholeError(build);
  if (failed.length === 0 && whole === null) return null;
  return (
    <section className="stack tight" aria-label="What failed">
      {whole !== null && (
        <div className="notice bad" role="alert">
          <strong>{whole.message}</strong>
          {whole.cause && <p className="soft">Cause: {whole.cause}</p>}
          {whole.hint && (
            <p>
              <strong>What to do next:</strong> {whole.hint}
            </p>
          )}
          <Command label="See all of it in a terminal" line={`buildnet history ${build.id}`} />
        </div>
      )}
      {failed.slice(0, SHOWN).map((task) => (
        <FailedTask key={task.key} task={task} build={build} />
      ))}
      {failed.length > SHOWN && (
        <Link href="?tab=tasks&status=failed">{plural(failed.length - SHOWN, "more failure")}</Link>
      )}
    </section>
  );
}

function FailedTask({ task, build }: { task: BuildTask; build: ShownBuild }) {
  const { report } = task;
  const choice = (build.told ?? build.live.begun)?.request?.choice ?? null;
  const [tab] = useFilter("tab", "graph");
  const isBesideLog = tab === "log";
  const output = report?.output?.trimEnd() ?? "";
  const root = build.told?.root ?? build.live.begun?.root ?? null;
  return (
    <div className="notice bad" role="alert">
      <div className="failed-task">
        <CircleAlert aria-hidden size={18} color="var(--bad)" />
        <div className="failed-words">
          <strong>
            {task.key}: {report?.error?.message ?? "failed"}
          </strong>{" "}
          {report?.error?.code && <code className="soft small">{report.error.code}</code>}
        </div>
      </div>
      {report?.error?.cause && <p className="soft">Cause: {report.error.cause}</p>}
      {output !== "" && (
        <Excerpt
          output={output}
          label={`The end of the output of ${task.key}`}
          {...(isBesideLog && { lines: BESIDE_LOG })}
        />
      )}
      <p>
        <strong>What to do next:</strong> {nextStep(report, task.key)}
      </p>
      {report?.tests?.failures.slice(0, 5).map((test) => (
        <p key={`${test.file} ${test.name}`} className="small">
          <strong>{test.name}</strong> <span className="soft">{test.file}</span>
          <br />
          {test.message}
        </p>
      ))}
      <div className="row">
        {!isBesideLog && (
          <Link href={`?tab=log&task=${encodeURIComponent(`${task.name}#${task.task}`)}`}>
            The whole output
          </Link>
        )}
        <Link href={`?tab=graph&package=${encodeURIComponent(task.name)}`}>In the graph</Link>
      </div>
      <Command
        label="See all of its output in a terminal"
        line={`buildnet history ${build.id} --log ${quoted(task.key)}`}
      />
      <OnItsNode build={build} />
      <Command
        label="Build it again"
        line={buildCommand({ packages: [task.name], task: task.task, choice }, root)}
      />
    </div>
  );
}

function wholeError(build: ShownBuild) {
  const error = build.told?.error ?? null;
  if (error === null || build.status === "running") return null;
  if (typeof error !== "string") return error;
  return { message: error, cause: null, hint: null };
}

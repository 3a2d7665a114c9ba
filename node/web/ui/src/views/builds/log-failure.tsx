import { useMemo } from "react";
import { Problem } from "@/api/problem";
import { LogCode } from "@/components/log-viewer/log-code";
import { plainOf } from "@/components/log-viewer/log-line";
import { LogLines } from "@/components/log-viewer/log-lines";
import type { LogText } from "@/components/log-viewer/log-text";
import { ProblemView } from "@/components/problem-view";
import { logCommand, type Source } from "@/views/builds/log-tasks";

const EXCERPT_ROWS = 10;

/** Why a task failed: what is known of it, and the last that it printed. */
export function Failure({
  buildId,
  source,
  text,
}: {
  buildId: string;
  source: Source;
  /** Its output, all of it; null: it is not there. */
  text: LogText | null;
}) {
  const { error, exitCode } = source;
  const said = exitCode === null ? "failed" : `failed with exit code ${exitCode}`;
  const problem = new Problem(
    `${source.key}: ${error?.message ?? said}`,
    error?.code ?? "FAILED",
    0,
    error?.cause ?? null,
    error?.hint ?? null,
  );
  return (
    <ProblemView problem={problem} command={logCommand(buildId, source)}>
      {text !== null && <Excerpt text={text} label={`The last lines of ${source.key}`} />}
    </ProblemView>
  );
}

function Excerpt({ text, label }: { text: LogText; label: string }) {
  const lines = useMemo(() => new LogLines(text), [text]);
  const rows = lastRows(text);
  if (rows.length === 0) return null;
  return (
    <section className="log-excerpt" aria-label={label}>
      {rows.map((row) => (
        <div key={row} className="log-excerpt-row">
          <a className="log-number" href={`#L${text.lineOf(row)}`}>
            {text.lineOf(row)}
          </a>
          <span className="log-code">
            <LogCode line={lines.line(row)} pattern={null} current={null} />
          </span>
        </div>
      ))}
    </section>
  );
}

/** The last rows that say something. */
function lastRows(text: LogText): number[] {
  const rows: number[] = [];
  for (let row = text.rows - 1; row >= 0 && rows.length < EXCERPT_ROWS; row -= 1) {
    if (rows.length === 0 && plainOf(text.row(row)).trim() === "") continue;
    rows.push(row);
  }
  return rows.reverse();
}

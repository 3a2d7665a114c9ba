import { useState } from "react";
import { linesText } from "@/components/log-viewer/lines-text";
import type { LogText } from "@/components/log-viewer/log-text";
import { count } from "@/format/format";

const PAGE_LINES = 2_000;

/** A log as plain text, some thousand lines at a time: for screen readers, and to select freely. */
export function PlainLog({ text, label, from }: { text: LogText; label: string; from: number }) {
  const [first, setFirst] = useState(() => pageOf(text.lineOf(from)));
  const begin = Math.max(first, text.firstLine);
  const last = Math.min(first + PAGE_LINES - 1, text.lines);
  return (
    <div className="stack tight">
      <div className="row">
        <span>
          Lines {count(begin)} to {count(last)} of {count(text.lines)}
        </span>
        <button
          type="button"
          className="button"
          disabled={begin <= text.firstLine}
          onClick={() => setFirst(Math.max(1, first - PAGE_LINES))}
        >
          Earlier lines
        </button>
        <button
          type="button"
          className="button"
          disabled={last >= text.lines}
          onClick={() => setFirst(first + PAGE_LINES)}
        >
          Later lines
        </button>
      </div>
      <textarea
        className="log-plain mono"
        readOnly
        spellCheck={false}
        aria-label={`${label}, plain text`}
        value={linesText(text, { first: begin, last })}
      />
    </div>
  );
}

function pageOf(line: number): number {
  return Math.floor((Math.max(1, line) - 1) / PAGE_LINES) * PAGE_LINES + 1;
}

import { useLayoutEffect, useRef, useState } from "react";
import { linesText } from "@/components/log-viewer/lines-text";
import type { LogText } from "@/components/log-viewer/log-text";
import { count } from "@/format/format";

const PAGE_LINES = 2_000;

/** A log as plain text, some thousand lines at a time: for screen readers, and to select freely. */
export function PlainLog({
  text,
  label,
  from,
  wanted,
}: {
  text: LogText;
  label: string;
  from: number;
  /** The line to go to: another object each time that somebody wants to. */
  wanted: { line: number } | null;
}) {
  const [first, setFirst] = useState(() => pageOf(text.lineOf(from)));
  const [gone, setGone] = useState(wanted);
  const box = useRef<HTMLTextAreaElement>(null);
  if (wanted !== gone) {
    setGone(wanted);
    if (wanted !== null) setFirst(pageOf(wanted.line));
  }
  const begin = Math.max(first, text.firstLine);
  const last = Math.min(first + PAGE_LINES - 1, text.lines);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, whatever comes after
  useLayoutEffect(() => {
    if (wanted !== null && box.current !== null) choose(box.current, wanted.line - begin);
  }, [wanted]);
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
        ref={box}
        className="log-plain mono"
        wrap="off"
        readOnly
        spellCheck={false}
        aria-label={`${label}, plain text`}
        value={linesText(text, { first: begin, last })}
      />
    </div>
  );
}

/** Select a line of a text and bring it into sight, wherever one types meanwhile. */
function choose(box: HTMLTextAreaElement, index: number): void {
  const lines = box.value.split("\n");
  const start = lines.slice(0, index).reduce((sum, line) => sum + line.length + 1, 0);
  box.setSelectionRange(start, start + (lines[index]?.length ?? 0));
  box.scrollTop = (box.scrollHeight * index) / lines.length - box.clientHeight / 2;
  box.scrollLeft = 0;
}

function pageOf(line: number): number {
  return Math.floor((Math.max(1, line) - 1) / PAGE_LINES) * PAGE_LINES + 1;
}

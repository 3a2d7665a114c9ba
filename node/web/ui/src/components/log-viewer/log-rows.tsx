import type { VirtualItem } from "@tanstack/react-virtual";
import type { MouseEvent, Ref } from "react";
import type { LineRange } from "@/components/log-viewer/line-range";
import { LogCode } from "@/components/log-viewer/log-code";
import type { LogLines } from "@/components/log-viewer/log-lines";
import type { LogText } from "@/components/log-viewer/log-text";
import type { Found } from "@/components/log-viewer/use-search";

/** The rows that are looked at. */
export function LogRows({
  items,
  text,
  lines,
  search,
  range,
  onChoose,
  hrefOf,
  measure,
}: {
  items: VirtualItem[];
  text: LogText;
  lines: LogLines;
  search: Found;
  range: LineRange | null;
  onChoose: (line: number, extend: boolean) => void;
  hrefOf: (line: number) => string;
  /** Where rows are as high as what they hold. */
  measure: Ref<HTMLDivElement> | undefined;
}) {
  const digits = String(text.lines).length;
  return items.map(({ index, start }) => {
    const note = text.noteAt(index);
    const line = text.lineOf(index);
    const isChosen = note === null && range !== null && line >= range.first && line <= range.last;
    return (
      <div
        key={text.droppedRows + index}
        ref={measure}
        data-index={index}
        className={isChosen ? "log-row chosen" : "log-row"}
        style={{ transform: `translateY(${start}px)` }}
      >
        <LineNumber
          line={text.isNumbered(index) ? line : null}
          digits={digits}
          onChoose={onChoose}
          hrefOf={hrefOf}
        />
        {note === null ? (
          <span className="log-code">
            <LogCode line={lines.line(index)} matches={search.marksIn(index)} current={search.at} />
          </span>
        ) : (
          <span className="log-note">{note}</span>
        )}
      </div>
    );
  });
}

function LineNumber({
  line,
  digits,
  onChoose,
  hrefOf,
}: {
  line: number | null;
  digits: number;
  onChoose: (line: number, extend: boolean) => void;
  hrefOf: (line: number) => string;
}) {
  const style = { minWidth: `calc(${digits}ch + var(--space-5))` };
  if (line === null) return <span className="log-number" style={style} aria-hidden="true" />;
  const choose = (event: MouseEvent) => {
    event.preventDefault();
    onChoose(line, event.shiftKey);
  };
  return (
    <a
      className="log-number"
      style={style}
      href={hrefOf(line)}
      tabIndex={-1}
      aria-label={`Line ${line}`}
      onClick={choose}
    >
      {line}
    </a>
  );
}

import { Fragment } from "react";
import { Pen } from "@/components/log-viewer/ink";
import { LogCode } from "@/components/log-viewer/log-code";
import { parse } from "@/components/log-viewer/log-line";
import type { Match } from "@/components/log-viewer/log-search";
import "@/components/log-viewer/log-viewer.css";

const NONE: Match[] = [];

/** The end of an output as a terminal shows it, but for what would hide something. */
export function Excerpt({ output, lines: most = 20 }: { output: string; lines?: number }) {
  let pen = Pen.PLAIN;
  const lines = output.split("\n").map((raw) => {
    const line = parse(raw, pen);
    pen = line.pen;
    return line;
  });
  const first = Math.max(0, lines.length - most);
  return (
    <pre className="excerpt">
      {lines.slice(first).map((line, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of an output stay where they are
        <Fragment key={first + place}>
          {place > 0 && "\n"}
          <LogCode line={line} matches={NONE} current={null} />
        </Fragment>
      ))}
    </pre>
  );
}

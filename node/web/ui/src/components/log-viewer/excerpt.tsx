import { Fragment, useLayoutEffect, useRef } from "react";
import { Pen } from "@/components/log-viewer/ink";
import { LogCode } from "@/components/log-viewer/log-code";
import { parse } from "@/components/log-viewer/log-line";
import type { Match } from "@/components/log-viewer/log-search";
import "@/components/log-viewer/log-viewer.css";

const NONE: Match[] = [];

/** The end of an output as a terminal shows it, but for what would hide something. */
export function Excerpt({
  output,
  label,
  lines: most = 20,
}: {
  output: string;
  /** Of what it is the end. */
  label: string;
  lines?: number;
}) {
  const box = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another output has another end
  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [output, most]);
  let pen = Pen.PLAIN;
  const lines = output.split("\n").map((raw) => {
    const line = parse(raw, pen);
    pen = line.pen;
    return line;
  });
  const first = Math.max(0, lines.length - most);
  return (
    <section
      ref={box}
      className="excerpt"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what is scrolled needs the keyboard
      tabIndex={0}
      aria-label={label}
    >
      <pre>
        {lines.slice(first).map((line, place) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines of an output stay where they are
          <Fragment key={first + place}>
            {place > 0 && "\n"}
            <LogCode line={line} matches={NONE} current={null} />
          </Fragment>
        ))}
      </pre>
    </section>
  );
}

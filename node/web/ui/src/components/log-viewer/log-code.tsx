import type { CSSProperties, ReactNode } from "react";
import { type Line, marksText, type Span } from "@/components/log-viewer/log-line";
import type { Match } from "@/components/log-viewer/log-search";

/** More are not coloured in one row: a letter in a row of nothing else. */
const MOST_MATCHES = 200;

type Place = Pick<Match, "row" | "nth">;

/** The text of a row in its colours, with what was looked for; `current`: which match one is at. */
export function LogCode({
  line,
  matches: all,
  current,
}: {
  line: Line;
  matches: Match[];
  current: Place | null;
}) {
  const matches = all.slice(0, MOST_MATCHES);
  let at = 0;
  return line.spans.map((span) => {
    const from = at;
    at += span.text.length;
    return <SpanView key={from} span={span} from={from} matches={matches} current={current} />;
  });
}

function SpanView({
  span,
  from,
  matches,
  current,
}: {
  span: Span;
  from: number;
  matches: Match[];
  current: Place | null;
}) {
  const { ink } = span;
  const content = cutAt(span, from, matches, current);
  if (ink.className === "") return content;
  const colors = {
    ...(ink.color && { "--ink": ink.color }),
    ...(ink.background && { "--paper": ink.background }),
  } as CSSProperties;
  return (
    <span className={`log-ink ${ink.className}`} style={colors}>
      {content}
    </span>
  );
}

/** A span in pieces: within and outside of matches. */
function cutAt(span: Span, from: number, matches: Match[], current: Place | null): ReactNode[] {
  const pieces: ReactNode[] = [];
  let at = 0;
  for (const match of matches) {
    const start = Math.max(match.from - from, at);
    const stop = Math.min(match.to - from, span.text.length);
    if (stop <= start) continue;
    const isCurrent = match.row === current?.row && match.nth === current.nth;
    if (start > at) pieces.push(shown(span.text.slice(at, start), span.isMark, at));
    pieces.push(
      <mark key={`hit${start}`} className={isCurrent ? "log-hit current" : "log-hit"}>
        {shown(span.text.slice(start, stop), span.isMark, start)}
      </mark>,
    );
    at = stop;
  }
  if (at < span.text.length) pieces.push(shown(span.text.slice(at), span.isMark, at));
  return pieces;
}

function shown(text: string, isMark: boolean, key: number): ReactNode {
  if (!isMark) return text;
  const names = marksText(text);
  return (
    <span key={key} className="log-mark" title={`Characters that draw nothing: ${names}`}>
      {names}
    </span>
  );
}

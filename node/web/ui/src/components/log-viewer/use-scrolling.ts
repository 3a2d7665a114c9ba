import { type RefObject, type UIEvent, useEffect, useLayoutEffect, useRef } from "react";
import type { LineRange } from "@/components/log-viewer/line-range";
import type { LogText } from "@/components/log-viewer/log-text";

const NEAR_END_PIXELS = 24;
const LINE_REM = 1.25;

type Scrolled = RefObject<HTMLDivElement | null>;

/** How high a row is: it grows with the letters that somebody set in their browser. */
export function rowPixels(): number {
  const found = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  return (Number.isNaN(found) ? 16 : found) * LINE_REM;
}

/** Keep the end in sight while `follows`, whatever changes (`size`). */
export function useEnd(scroll: Scrolled, follows: boolean, version: number, size: number): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: with each change the end is elsewhere
  useLayoutEffect(() => {
    if (follows && scroll.current) scroll.current.scrollTop = scroll.current.scrollHeight;
  }, [scroll, follows, version, size]);
}

/** Keep in sight what is looked at while rows above it are forgotten. */
export function useForgotten(scroll: Scrolled, text: LogText, pixels: number): void {
  const before = useRef({ text, rows: text.droppedRows });
  const rows = text.droppedRows;
  useLayoutEffect(() => {
    const forgotten = before.current.text === text ? rows - before.current.rows : 0;
    before.current = { text, rows };
    if (forgotten > 0 && scroll.current) scroll.current.scrollTop -= forgotten * pixels;
  }, [scroll, text, rows, pixels]);
}

/** Go to the lines that the address names, as soon as they are there. */
export function useNamedLine(
  text: LogText,
  version: number,
  range: LineRange | null,
  go: (row: number) => void,
): (range: LineRange | null) => void {
  const been = useRef<string | null>(null);
  const name = range === null ? null : `${range.first}-${range.last}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once a name, when its line has come
  useEffect(() => {
    if (range === null || been.current === name || text.lines < range.first) return;
    been.current = name;
    go(text.rowOf(range.first));
  }, [text, version, name]);
  return (chosen) => {
    been.current = chosen === null ? null : `${chosen.first}-${chosen.last}`;
  };
}

/** Who scrolls up follows no more, and who comes to the end does again. */
export function useScrolled(follow: (follows: boolean) => void): (event: UIEvent) => void {
  const last = useRef(0);
  return ({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PIXELS) follow(true);
    else if (scrollTop < last.current - 1) follow(false);
    last.current = scrollTop;
  };
}

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

const WINDOW_ROWS = 60;

/**
 * Bring all of the viewer into the window when it is opened (`wanted`): at once where it is as high
 * as it will be (`grows`), else until so many rows have come as a window holds.
 */
export function useInWindow(viewer: Scrolled, wanted: boolean, grows: boolean, rows: number): void {
  const isDone = useRef(!wanted);
  useEffect(() => {
    if (isDone.current || (!grows && rows === 0)) return;
    // After the page has gone to its top: it does so for each view that is come to.
    const frame = requestAnimationFrame(() => {
      isDone.current = grows || rows >= WINDOW_ROWS;
      viewer.current?.scrollIntoView({ block: "start" });
    });
    return () => cancelAnimationFrame(frame);
  }, [viewer, grows, rows]);
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

/** Go to the lines that the address names, as soon as they are among the rows that are drawn. */
export function useNamedLine(
  text: LogText,
  version: number,
  range: LineRange | null,
  go: (row: number) => void,
): (range: LineRange | null) => void {
  const been = useRef<string | null>(null);
  const name = range === null ? null : `${range.first}-${range.last}`;
  // Found now, not in the effect: what has come by then has no room in the box yet.
  const row = range === null || text.lines < range.first ? null : text.rowOf(range.first);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once a name, when its line has come
  useEffect(() => {
    if (row === null || been.current === name) return;
    been.current = name;
    go(row);
  }, [text, version, name]);
  return (chosen) => {
    been.current = chosen === null ? null : `${chosen.first}-${chosen.last}`;
  };
}

/**
 * Who scrolls up follows no more, and who comes to the end does again; but who was brought to a line
 * (`stay`) stays there, also where it is the last so far, until they scroll by themselves.
 */
export function useScrolled(follow: (follows: boolean) => void) {
  const last = useRef(0);
  const stays = useRef(false);
  const leave = () => {
    stays.current = false;
  };
  return {
    stay: () => {
      stays.current = true;
    },
    handlers: {
      onScroll: ({ currentTarget: { scrollTop, scrollHeight, clientHeight } }: UIEvent) => {
        if (scrollHeight - scrollTop - clientHeight < NEAR_END_PIXELS) {
          if (!stays.current) follow(true);
        } else if (scrollTop < last.current - 1) follow(false);
        last.current = scrollTop;
      },
      onWheel: leave,
      onTouchMove: leave,
      onPointerDown: leave,
      onKeyDownCapture: leave,
    },
  };
}

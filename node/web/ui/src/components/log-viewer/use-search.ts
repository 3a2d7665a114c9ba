import { useEffect, useMemo, useReducer, useRef, useState } from "react";
import { LogSearch, type Match } from "@/components/log-viewer/log-search";
import type { LogText } from "@/components/log-viewer/log-text";

/** A search looks for so long, then lets the browser draw. */
const SLICE_MS = 12;

export interface Found {
  needle: string;
  setNeedle: (needle: string) => void;
  /** What is to be marked in a row. */
  marksIn: (row: number) => Match[];
  total: number;
  isDone: boolean;
  /** Which match one is at, counted from 0. */
  current: number | null;
  /** Where that is. */
  at: { row: number; nth: number } | null;
  /** To the next match (1) or the one before (-1); the first time to the first below `topRow`. */
  go: (step: 1 | -1, topRow: number) => void;
}

/**
 * Looks through a log for what was typed, a little at a time, and through what comes after. `goTo`: is
 * told in which row a match is that somebody goes to, later on where it had to be found first.
 */
export function useSearch(text: LogText, version: number, goTo: (row: number) => void): Found {
  const [needle, setNeedle] = useState("");
  const [current, setCurrent] = useState<number | null>(null);
  const awaited = useRef<{ step: 1 | -1; topRow: number } | null>(null);
  const latest = useRef(goTo);
  latest.current = goTo;
  const [, progressed] = useReducer((count: number) => count + 1, 0);
  const search = useMemo(
    () => (needle === "" ? null : new LogSearch(text, needle)),
    [text, needle],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is new is looked through too
  useEffect(() => {
    if (search === null) return;
    let timer: ReturnType<typeof setTimeout>;
    const slice = () => {
      const until = performance.now() + SLICE_MS;
      const isDone = search.look(() => performance.now() < until);
      const index = awaited.current && search.begin(awaited.current.step, awaited.current.topRow);
      if (index !== null || isDone) awaited.current = null;
      if (index !== null) {
        setCurrent(index);
        latest.current(search.match(index)?.row ?? 0);
      }
      progressed();
      if (!isDone) timer = setTimeout(slice);
    };
    slice();
    return () => clearTimeout(timer);
  }, [search, version]);
  const total = search?.total ?? 0;
  return {
    needle,
    setNeedle: (next) => {
      setNeedle(next);
      setCurrent(null);
      awaited.current = null;
    },
    marksIn: (row) => search?.marksIn(row) ?? [],
    total,
    isDone: search?.isDone ?? true,
    current: current !== null && current < total ? current : null,
    at: current === null ? null : (search?.match(current) ?? null),
    go: (step, topRow) => {
      if (search === null) return;
      const next =
        current !== null && total > 0
          ? (current + step + total) % total
          : search.begin(step, topRow);
      if (next === null) {
        awaited.current = search.isDone ? null : { step, topRow };
        return;
      }
      setCurrent(next);
      goTo(search.match(next)?.row ?? 0);
    },
  };
}

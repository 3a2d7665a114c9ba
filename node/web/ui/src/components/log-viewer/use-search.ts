import { useEffect, useMemo, useReducer, useState } from "react";
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
  go: (step: 1 | -1, topRow: number) => { row: number; nth: number } | null;
}

/** Looks through a log for what was typed, a little at a time, and through what comes after. */
export function useSearch(text: LogText, version: number): Found {
  const [needle, setNeedle] = useState("");
  const [current, setCurrent] = useState<number | null>(null);
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
    },
    marksIn: (row) => search?.marksIn(row) ?? [],
    total,
    isDone: search?.isDone ?? true,
    current: current !== null && current < total ? current : null,
    at: current === null ? null : (search?.match(current) ?? null),
    go: (step, topRow) => {
      if (search === null || total === 0) return null;
      let next = search.from(topRow);
      if (current !== null) next = (current + step + total) % total;
      else if (step === -1) next = (next - 1 + total) % total;
      setCurrent(next);
      return search.match(next);
    },
  };
}

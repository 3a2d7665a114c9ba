import { useCallback, useSyncExternalStore } from "react";

/** Lines from the first to the last, counted from 1. */
export interface LineRange {
  first: number;
  last: number;
}

const MOST = 1e9;
// wouter tells the changes of history that browsers tell nobody of.
const EVENTS = ["hashchange", "popstate", "pushState", "replaceState"];

/** Read "L120-L130", "120-130" or "7", with or without "#"; null: it is none. */
export function readRange(text: string): LineRange | null {
  const found = /^#?L?(\d{1,10})(?:-L?(\d{1,10}))?$/i.exec(text.trim());
  if (found === null) return null;
  const ends = [Number(found[1]), Number(found[2] ?? found[1])].map((line) =>
    Math.min(MOST, Math.max(1, line)),
  );
  return { first: Math.min(...ends), last: Math.max(...ends) };
}

export function rangeText({ first, last }: LineRange): string {
  return first === last ? `L${first}` : `L${first}-L${last}`;
}

/** The lines that the address names behind its "#". */
export function useLineRange(): [LineRange | null, (range: LineRange | null) => void] {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  const set = useCallback((range: LineRange | null) => {
    const behind = range === null ? "" : `#${rangeText(range)}`;
    history.replaceState(history.state, "", `${location.pathname}${location.search}${behind}`);
  }, []);
  return [readRange(hash), set];
}

function subscribe(listener: () => void): () => void {
  for (const name of EVENTS) addEventListener(name, listener);
  return () => {
    for (const name of EVENTS) removeEventListener(name, listener);
  };
}

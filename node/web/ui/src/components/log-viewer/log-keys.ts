import type { KeyboardEvent } from "react";

/** What one can do in a log by keyboard; `false`: then the browser does what it does by itself. */
export interface LogActions {
  begin: () => void;
  end: () => void;
  next: () => void;
  before: () => void;
  search: () => void;
  line: () => void;
  wrap: () => void;
  chooseAll: () => void;
  chooseNone: () => void;
  copy: () => boolean;
}

const ACTIONS: Record<string, keyof LogActions> = {
  Home: "begin",
  g: "begin",
  End: "end",
  G: "end",
  n: "next",
  N: "before",
  "/": "search",
  l: "line",
  w: "wrap",
  "Ctrl+a": "chooseAll",
  "Ctrl+c": "copy",
  Escape: "chooseNone",
};

/** Do what a key is for; moving by rows and pages is the same in every log. */
export function pressed(
  event: KeyboardEvent<HTMLElement>,
  rowPixels: number,
  actions: LogActions,
): void {
  if (event.altKey) return;
  const log = event.currentTarget;
  const page = log.clientHeight - rowPixels;
  const steps: Record<string, number> = {
    ArrowUp: -rowPixels,
    ArrowDown: rowPixels,
    PageUp: -page,
    PageDown: page,
  };
  const step = steps[event.key];
  const action = ACTIONS[event.ctrlKey || event.metaKey ? `Ctrl+${event.key}` : event.key];
  if (step !== undefined) log.scrollBy(0, step);
  else if (action === undefined || actions[action]() === false) return;
  event.preventDefault();
}

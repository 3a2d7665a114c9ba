import { useSyncExternalStore } from "react";
import { type Draft, EMPTY, saySame } from "@/views/builder/draft";
import { begun, type Change, changed } from "@/views/builder/history";

/** What is shaped, and what of it is kept at the nodes. */
export interface Shaped {
  readonly draft: Draft;
  /** As it was loaded or saved. */
  readonly kept: Draft;
  /** The configuration that it is, and its version; null: it is kept under no id yet. */
  readonly version: number | null;
}

const NOTHING: Shaped = { draft: EMPTY, kept: EMPTY, version: null };

let history = begun(NOTHING);
const listeners = new Set<() => void>();

/** The browser asks before it leaves a page on which something was not saved. */
function warn(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

function go(change: Change<Shaped>): void {
  history = changed(history, change);
  removeEventListener("beforeunload", warn);
  if (isUnsaved(history.present)) addEventListener("beforeunload", warn);
  for (const each of listeners) each();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function isUnsaved({ draft, kept }: Shaped): boolean {
  return !saySame(draft, kept);
}

/** Change the draft; changes that follow each other with the same tag are one step. */
export function edit(draft: Draft, tag?: string): void {
  const state = { ...history.present, draft };
  go(tag === undefined ? { type: "do", state } : { type: "do", state, tag });
}

/** Take up another configuration; what was shaped before is one undo away. */
export function load(draft: Draft, version: number | null = null, kept: Draft = draft): void {
  go({ type: "do", state: { draft, kept, version } });
}

/** Note that a draft is kept under its id, in this version; no step to be undone. */
export function saved(draft: Draft, version: number): void {
  const { id } = draft;
  const { present } = history;
  const now = { ...present, draft: { ...present.draft, id } };
  go({
    type: "each",
    change: (state) => {
      const of = state === present ? now : state;
      return of.draft.id === id ? { ...of, kept: draft, version } : of;
    },
  });
}

export function undo(): void {
  go({ type: "undo" });
}

export function redo(): void {
  go({ type: "redo" });
}

/**
 * What is shaped, and how it came about. It is of the whole page, not of the view: who looks at
 * another view meanwhile finds it as it was.
 */
export function useHistory() {
  return useSyncExternalStore(subscribe, () => history);
}

/** What is shaped now. */
export function present(): Shaped {
  return history.present;
}

/** For tests: begin anew. */
export function forget(): void {
  history = begun(NOTHING);
  go({ type: "each", change: (state) => state });
}

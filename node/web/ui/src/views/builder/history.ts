/** What was before and what was undone, around what is. */
export interface History<State> {
  readonly past: readonly State[];
  readonly present: State;
  readonly future: readonly State[];
  /** Changes that follow each other with the same tag are one: a slider that is pulled. */
  readonly tag: string | null;
}

export type Change<State> =
  | { readonly type: "do"; readonly state: State; readonly tag?: string }
  | { readonly type: "undo" }
  | { readonly type: "redo" }
  /** Something that is true of every state, not a step: that it was saved. */
  | { readonly type: "each"; readonly change: (state: State) => State };

const KEPT = 200;

export function begun<State>(present: State): History<State> {
  return { past: [], present, future: [], tag: null };
}

export function changed<State>(history: History<State>, change: Change<State>): History<State> {
  const { past, present, future, tag } = history;
  switch (change.type) {
    case "do": {
      if (change.state === present) return history;
      const next = change.tag ?? null;
      const goesOn = next !== null && next === tag;
      return {
        past: goesOn ? past : [...past, present].slice(-KEPT),
        present: change.state,
        future: [],
        tag: next,
      };
    }
    case "undo": {
      const before = past.at(-1);
      if (before === undefined) return history;
      return { past: past.slice(0, -1), present: before, future: [present, ...future], tag: null };
    }
    case "redo": {
      const [after, ...rest] = future;
      if (after === undefined) return history;
      return { past: [...past, present], present: after, future: rest, tag: null };
    }
    case "each":
      return {
        past: past.map(change.change),
        present: change.change(present),
        future: future.map(change.change),
        tag: null,
      };
  }
}

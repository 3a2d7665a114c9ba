import { expect, test } from "vitest";
import { begun, type Change, changed, type History } from "@/views/builder/history";

const go = (changes: Change<string>[], from: History<string> = begun("a")) =>
  changes.reduce(changed, from);
const to = (state: string, tag?: string): Change<string> =>
  tag === undefined ? { type: "do", state } : { type: "do", state, tag };
const UNDO: Change<string> = { type: "undo" };
const REDO: Change<string> = { type: "redo" };

test("what was done is undone and done again, step by step", () => {
  const done = go([to("b"), to("c")]);
  expect(go([UNDO], done).present).toBe("b");
  expect(go([UNDO, UNDO], done).present).toBe("a");
  expect(go([UNDO, UNDO, UNDO], done).present).toBe("a");
  expect(go([UNDO, UNDO, REDO], done).present).toBe("b");
  expect(go([UNDO, UNDO, REDO, REDO, REDO], done).present).toBe("c");
});

test("what is done after an undo leaves nothing to be done again", () => {
  const other = go([to("b"), UNDO, to("x")]);
  expect(other.future).toEqual([]);
  expect(go([REDO], other).present).toBe("x");
  expect(go([UNDO], other).present).toBe("a");
});

test("a slider that is pulled is one step", () => {
  const pulled = go([to("b"), to("c", "slide"), to("d", "slide"), to("e", "slide")]);
  expect(go([UNDO], pulled).present).toBe("b");
  expect(go([UNDO, to("f", "slide"), UNDO], pulled).present).toBe("b");
  expect(go([to("x", "other"), UNDO], pulled).present).toBe("e");
});

test("what changes nothing is no step", () => {
  const same = begun("a");
  expect(changed(same, to("a"))).toBe(same);
});

test("what is true of each state goes through all of them", () => {
  const done = go([to("b"), to("c"), UNDO, { type: "each", change: (state) => `${state}!` }]);
  expect([done.past, done.present, done.future]).toEqual([["a!"], "b!", ["c!"]]);
});

test("not everything is kept for ever", () => {
  const many = go(Array.from({ length: 500 }, (_, number) => to(`${number}`)));
  expect(many.past.length).toBe(200);
});

import { beforeEach, expect, test } from "vitest";
import { EMPTY } from "@/views/builder/draft";
import { added } from "@/views/builder/edits";
import * as store from "@/views/builder/store";
import { POOL } from "@/views/builder/testing";

const FOUR = added(EMPTY, { kind: "cpu", node: "id-anna" }, POOL);
const asks = () => !dispatchEvent(new Event("beforeunload", { cancelable: true }));
const look = store.present;

beforeEach(store.forget);

test("what is changed is unsaved, and the browser asks before it leaves", () => {
  expect([store.isUnsaved(look()), asks()]).toEqual([false, false]);
  store.edit(FOUR);
  expect([store.isUnsaved(look()), asks()]).toEqual([true, true]);
  store.undo();
  expect([store.isUnsaved(look()), asks()]).toEqual([false, false]);
});

test("what was saved is kept in its version, also for what is undone and done again", () => {
  store.load({ ...EMPTY, id: "dev" }, 1);
  store.edit({ ...FOUR, id: "dev" });
  store.saved({ ...FOUR, id: "dev" }, 2);
  expect([store.isUnsaved(look()), look().version]).toEqual([false, 2]);
  store.undo();
  expect([look().draft.cpu.pieces.length, look().version]).toEqual([0, 2]);
  expect(store.isUnsaved(look())).toBe(true);
  store.redo();
  expect(store.isUnsaved(look())).toBe(false);
});

test("a saved draft takes its id, and what is shaped meanwhile stays", () => {
  store.edit(FOUR);
  store.saved({ ...FOUR, id: "four" }, 1);
  expect([look().draft.id, look().version, store.isUnsaved(look())]).toEqual(["four", 1, false]);
});

test("what is loaded takes the place of what was shaped, which is one undo away", () => {
  store.edit(FOUR);
  store.load({ ...EMPTY, id: "other" }, 7);
  expect([look().draft.id, look().version, store.isUnsaved(look())]).toEqual(["other", 7, false]);
  store.undo();
  expect([look().draft.cpu.pieces.length, look().version]).toEqual([1, null]);
});

test("what a template or a file says is unsaved from the beginning", () => {
  store.load(FOUR, null, EMPTY);
  expect(store.isUnsaved(look())).toBe(true);
});

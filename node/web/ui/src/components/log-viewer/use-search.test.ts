import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LogText } from "@/components/log-viewer/log-text";
import { useSearch } from "@/components/log-viewer/use-search";

const HITS = [3, 1_200, 1_900];

/** Each look at the clock takes long: a search looks at some hundred rows, then lets others go on. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  let looks = 0;
  vi.spyOn(performance, "now").mockImplementation(() => (looks++ % 3 === 2 ? looks * 100 : 0));
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function searching(rows: readonly number[]) {
  const text = new LogText();
  const lines = Array.from({ length: 2_500 }, (_, row) => (rows.includes(row) ? "hit" : "fine"));
  text.append(`${lines.join("\n")}\n`);
  const goTo = vi.fn();
  const { result } = renderHook(() => useSearch(text, text.version, goTo));
  act(() => result.current.setNeedle("hit"));
  return { found: () => result.current, goTo };
}

const lookThrough = () => act(() => vi.runAllTimers());

it("goes to the first hit once it is found, where somebody asked for it before", () => {
  const { found, goTo } = searching([1_200, 1_900]);
  act(() => found().go(1, 0));
  expect(goTo).not.toHaveBeenCalled();
  lookThrough();
  expect(goTo.mock.calls).toEqual([[1_200]]);
  expect(found().current).toBe(0);
});

it.each<[string, 1 | -1, number, number]>([
  ["the first below what is shown, though one above was found", 1, 1_500, 1_900],
  ["the one above what is shown", -1, 1_500, 1_200],
  ["the last one from the beginning on", -1, 0, 1_900],
  ["the first one from the end on", 1, 2_400, 3],
])("waits for %s", (_, step, topRow, row) => {
  const { found, goTo } = searching(HITS);
  act(() => found().go(step, topRow));
  expect(goTo).not.toHaveBeenCalled();
  lookThrough();
  expect(goTo.mock.calls).toEqual([[row]]);
});

it("goes nowhere of itself once another word is looked for, or nothing was found", () => {
  const { found, goTo } = searching([1_200]);
  act(() => found().go(1, 0));
  act(() => found().setNeedle("fine"));
  lookThrough();
  act(() => found().setNeedle("nowhere"));
  act(() => found().go(1, 0));
  lookThrough();
  act(() => found().go(1, 0));
  expect(goTo).not.toHaveBeenCalled();
});

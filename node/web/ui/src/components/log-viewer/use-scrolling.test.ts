import { act, renderHook } from "@testing-library/react";
import { useLayoutEffect } from "react";
import { expect, it } from "vitest";
import { LogText } from "@/components/log-viewer/log-text";
import { useNamedLine, useScrolled } from "@/components/log-viewer/use-scrolling";

const lines = (count: number) => "line\n".repeat(count);

it("goes to a line that comes later only once it has a row", () => {
  const text = new LogText();
  text.append(lines(100));
  const gone: { row: number; of: number }[] = [];
  const more = [lines(100), lines(100)];
  const { rerender } = renderHook(() => {
    const of = text.rows;
    // The next piece comes between the drawing and what is done after it.
    useLayoutEffect(() => text.append(more.pop() ?? ""));
    useNamedLine(text, text.version, { first: 150, last: 152 }, (row) => gone.push({ row, of }));
  });
  expect(gone).toEqual([]);
  rerender();
  rerender();
  expect(gone).toEqual([{ row: 149, of: 200 }]);
});

it("leaves nobody at the end who was brought to a line there, until they scroll", () => {
  const told: boolean[] = [];
  const { result } = renderHook(() => useScrolled((follows) => told.push(follows)));
  const box = { scrollTop: 500, scrollHeight: 1000, clientHeight: 500 };
  const scroll = () =>
    act(() => result.current.handlers.onScroll({ currentTarget: box } as unknown as React.UIEvent));
  result.current.stay();
  scroll();
  expect(told).toEqual([]);
  result.current.handlers.onWheel();
  scroll();
  expect(told).toEqual([true]);
});

import { act, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { useFilter, useSetFilters, useTypedFilter } from "@/components/url-state";

function Box() {
  const [text, setText] = useTypedFilter("text");
  const [type, setType] = useFilter("type");
  const setFilters = useSetFilters();
  return (
    <>
      <input aria-label="text" value={text} onChange={(event) => setText(event.target.value)} />
      <input aria-label="type" value={type} onChange={(event) => setType(event.target.value)} />
      <button type="button" onClick={() => setType(type)}>
        same
      </button>
      <button type="button" onClick={() => setFilters({ from: "1h", to: "" })}>
        lately
      </button>
    </>
  );
}

beforeEach(() => {
  vi.useFakeTimers();
  history.replaceState(null, "", "/list?cursor=2");
  render(<Box />);
});
afterEach(() => vi.useRealTimers());

const box = () => screen.getByLabelText<HTMLInputElement>("text");
const rest = () => act(() => vi.advanceTimersByTime(300));

it("shows what is typed at once, and has it in the address when that rests", () => {
  fireEvent.change(box(), { target: { value: "ap" } });
  fireEvent.change(box(), { target: { value: "api" } });
  expect([box().value, location.search]).toEqual(["api", "?cursor=2"]);
  rest();
  expect([box().value, location.search]).toEqual(["api", "?text=api"]);
});

it("follows the address where somebody goes on by a link", () => {
  fireEvent.change(box(), { target: { value: "api" } });
  rest();
  act(() => history.pushState(null, "", "/list"));
  rest();
  expect([box().value, location.search]).toEqual(["", ""]);
});

it("makes a step of the history of what is chosen, and none of what is typed or the same", () => {
  const before = history.length;
  fireEvent.change(box(), { target: { value: "api" } });
  rest();
  expect(history.length).toBe(before);
  fireEvent.change(screen.getByLabelText("type"), { target: { value: "builds" } });
  expect([history.length, location.search]).toEqual([before + 1, "?text=api&type=builds"]);
  fireEvent.click(screen.getByText("same"));
  expect(history.length).toBe(before + 1);
  fireEvent.click(screen.getByText("lately"));
  expect([history.length, location.search]).toEqual([before + 2, "?text=api&type=builds&from=1h"]);
});

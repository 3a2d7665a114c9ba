import { act, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { useTypedFilter } from "@/components/url-state";

function Box() {
  const [text, setText] = useTypedFilter("text");
  return <input aria-label="text" value={text} onChange={(event) => setText(event.target.value)} />;
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

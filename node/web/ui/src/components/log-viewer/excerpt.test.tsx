import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { Excerpt } from "@/components/log-viewer/excerpt";

const E = "\u001b";
it("can be scrolled by keyboard, and says of what it is", () => {
  shown("one");
  expect(screen.getByRole("region", { name: "The end of it" }).tabIndex).toBe(0);
});

const shown = (output: string) =>
  render(<Excerpt output={output} label="The end of it" />).container;

it("says all that a row shows, whatever stands around it", () => {
  const link = `${E}]8;;http://evil${E}\\error: no such file${E}]8;;${E}\\`;
  expect(shown(`${link} \u202etxt.exe\u0007`).textContent).toBe(
    "error: no such file U+202Etxt.exeBEL",
  );
});

it("has the colours of the rows before its first one", () => {
  const lines = [`${E}[31mone\r`, ...Array.from({ length: 20 }, (_, number) => `row ${number}`)];
  const found = shown(lines.join("\n"));
  expect(found.textContent).toBe(lines.slice(1).join("\n"));
  expect(found.querySelectorAll(".ink-red")).toHaveLength(20);
});

it("begins at its end: there the error stands", () => {
  const height = vi.spyOn(HTMLElement.prototype, "scrollHeight", "get").mockReturnValue(900);
  shown("one\nerror: two");
  expect(screen.getByRole("region").scrollTop).toBe(900);
  height.mockRestore();
});

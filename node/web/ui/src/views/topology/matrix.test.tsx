import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it } from "vitest";
import { aPoolNode } from "@/testing/nodes";
import { Links } from "@/views/topology/links";
import { Matrix } from "@/views/topology/matrix";

it("is one stop of Tab, in which arrow keys lead from link to link", async () => {
  const nodes = ["a", "b", "c"].map((id) => aPoolNode({ id, name: id }));
  const { container } = render(<Matrix nodes={nodes} links={new Links([], 0)} />);
  const stops = () => container.querySelectorAll("td[tabindex='0']");
  const at = () => {
    const { row, column } = (document.activeElement as HTMLElement).dataset;
    return `${row}${column}`;
  };
  expect(stops()).toHaveLength(1);
  (stops()[0] as HTMLElement).focus();
  const been: string[] = [at()];
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft"]) {
    await userEvent.keyboard(`{${key}}`);
    been.push(at());
  }
  expect(been).toEqual(["ab", "ac", "ac", "bc", "bc", "ba"]);
  expect(stops()).toHaveLength(1);
  expect(stops()[0]).toBe(document.activeElement);
});

import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";
import type { Fault } from "@/views/builder/faults";
import { AmountPiece, ToolPiece } from "@/views/builder/pieces";
import type { PoolNode } from "@/views/builder/pool-nodes";
import { POOL } from "@/views/builder/testing";

function Cores({ nodes = POOL, faults = [] }: { nodes?: PoolNode[]; faults?: Fault[] }) {
  const [amount, setAmount] = useState(2);
  return (
    <AmountPiece
      zone="cpu"
      name="anna"
      amount={amount}
      nodes={nodes}
      faults={faults}
      onAmount={setAmount}
      onRemove={() => {}}
    />
  );
}

test("slider and number are one amount, and more than is free is said", async () => {
  render(<Cores />);
  const number = screen.getByRole("spinbutton");
  const slider = screen.getByRole("slider");
  expect([slider.getAttribute("max"), (slider as HTMLInputElement).value]).toEqual(["8", "2"]);
  await userEvent.clear(number);
  await userEvent.type(number, "6");
  expect((slider as HTMLInputElement).value).toBe("6");
  const piece = screen.getByRole("listitem");
  expect(piece.className).toContain("warn");
  expect(within(piece).getByText("4 of 8 cores free now")).toBeDefined();
});

test("a piece of a node that went away says so once, whatever the node says besides", () => {
  const away = POOL.map((node) => ({ ...node, away: `${node.name} is offline` }));
  render(<Cores nodes={away} faults={[{ tone: "bad", words: "anna can't be given work now" }]} />);
  expect(screen.getByRole("listitem").className).toContain("bad");
  expect(screen.getByText("anna is offline")).toBeDefined();
  expect(screen.queryByText("anna can't be given work now")).toBeNull();
});

test("what the node finds wrong counts more than what the page sees", () => {
  render(
    <ToolPiece
      piece={{ key: "k", kind: "tool", name: "git", version: ">=99" }}
      nodes={POOL}
      faults={[{ tone: "bad", words: "the tool git >=99 is nowhere" }]}
      onVersion={() => {}}
      onRemove={() => {}}
    />,
  );
  const piece = screen.getByRole("listitem", { name: "tool git" });
  expect(piece.className).toContain("bad");
  expect(within(piece).getByText("the tool git >=99 is nowhere")).toBeDefined();
  expect(within(piece).queryByText(/^on anna/)).toBeNull();
});

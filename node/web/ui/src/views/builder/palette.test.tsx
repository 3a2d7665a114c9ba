import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { EMPTY } from "@/views/builder/draft";
import { Palette } from "@/views/builder/palette";
import { POOL } from "@/views/builder/testing";

vi.mock("@dnd-kit/react", () => ({ useDraggable: () => ({ ref: null, handleRef: null }) }));

test("nothing is said of nodes where a tool was looked for and found", async () => {
  render(<Palette draft={EMPTY} nodes={POOL} onAdd={() => {}} />);
  const search = screen.getByRole("searchbox");
  await userEvent.type(search, "ffmp");
  expect(screen.getByRole("button", { name: /^Drag ffmpeg/ })).toBeDefined();
  expect(screen.queryByText(/No node/)).toBeNull();
  expect(screen.queryByRole("heading", { name: "Nodes" })).toBeNull();
  await userEvent.type(search, "zzz");
  expect(screen.getByText(/^No node is called so, and none/)).toBeDefined();
});

import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { ConflictDialog } from "@/views/builder/conflict-dialog";
import { EMPTY } from "@/views/builder/draft";
import * as store from "@/views/builder/store";

vi.mock("@/views/builder/calls", () => ({
  kept: async (id: string) => ({ draft: { ...EMPTY, id, name: "theirs" }, version: 3 }),
}));

test("theirs is taken up, with mine one undo away, or mine is kept besides it", async () => {
  store.load({ ...EMPTY, id: "dev" }, 2);
  store.edit({ ...EMPTY, id: "dev", name: "mine" });
  const onKeepMine = vi.fn();
  const onClose = vi.fn();
  render(<ConflictDialog id="dev" onKeepMine={onKeepMine} onClose={onClose} />);
  await userEvent.click(screen.getByText("Keep mine under another id"));
  expect([onKeepMine.mock.calls.length, store.present().draft.name]).toEqual([1, "mine"]);
  await userEvent.click(screen.getByText("Load theirs"));
  await waitFor(() => expect(onClose).toHaveBeenCalled());
  expect([store.present().draft.name, store.present().version]).toEqual(["theirs", 3]);
  store.undo();
  expect([store.present().draft.name, store.present().version]).toEqual(["mine", 2]);
});

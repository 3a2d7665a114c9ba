import { fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { Dialog } from "@/components/dialog";

it("closes by its own cancel, not by that of a file chooser in it", () => {
  const closed = vi.fn();
  render(
    <Dialog title="Import" onClose={closed}>
      <input type="file" aria-label="file" />
    </Dialog>,
  );
  const cancel = () => new Event("cancel", { bubbles: true });
  fireEvent(screen.getByLabelText("file"), cancel());
  expect(closed).not.toHaveBeenCalled();
  fireEvent(screen.getByRole("dialog"), new Event("cancel"));
  expect(closed).toHaveBeenCalledOnce();
});

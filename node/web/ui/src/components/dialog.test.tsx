import { fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { ConfirmByName, Dialog } from "@/components/dialog";

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

it("asks for the name, but not of what is one's own", () => {
  const asked = (isOwn: boolean) => (
    <ConfirmByName
      title="Cancel the build of shop"
      name="shop"
      isOwn={isOwn}
      verb="Cancel it"
      act={async () => {}}
      onClose={() => {}}
    >
      It ends.
    </ConfirmByName>
  );
  const button = () => screen.getByRole<HTMLButtonElement>("button", { name: "Cancel it" });
  const { rerender } = render(asked(false));
  expect(button().disabled).toBe(true);
  fireEvent.change(screen.getByRole("textbox"), { target: { value: "shop" } });
  expect(button().disabled).toBe(false);
  fireEvent.change(screen.getByRole("textbox"), { target: { value: "" } });
  rerender(asked(true));
  expect(screen.queryByRole("textbox")).toBeNull();
  expect(button().disabled).toBe(false);
});

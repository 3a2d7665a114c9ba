import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it } from "vitest";
import { Toasts, useToasts } from "@/components/toasts";

function Telling() {
  const toasts = useToasts();
  return (
    <>
      <button type="button" onClick={() => toasts.done("it is done")}>
        do
      </button>
      <button type="button" onClick={() => toasts.failed(new Error("it broke"))}>
        fail
      </button>
    </>
  );
}

it("frames what went wrong as such, and not as what was done", async () => {
  render(<Telling />, { wrapper: Toasts });
  await userEvent.click(screen.getByText("do"));
  await userEvent.click(screen.getByText("fail"));
  const frames = [...screen.getByRole("status").children].map((toast) => toast.className);
  expect(frames).toEqual(["notice good", "notice bad"]);
});

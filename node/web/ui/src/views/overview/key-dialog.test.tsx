import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";
import KeyDialog from "@/views/overview/key-dialog";

const MADE = { name: "ci", key: "v4.public.secret", expires_at: "2026-12-22T00:00:00Z" };

vi.mock("@/api/client", () => ({ api: { POST: async () => ({ data: MADE }) } }));

it("shows the key that was made, until somebody has it", async () => {
  const closed = vi.fn();
  render(<KeyDialog onClose={closed} />);
  await userEvent.type(screen.getByLabelText("Name"), "ci");
  await userEvent.click(screen.getByRole("button", { name: "Make the key" }));
  expect(await screen.findByText("v4.public.secret")).toBeDefined();
  expect(closed).not.toHaveBeenCalled();
  await userEvent.click(screen.getByRole("button", { name: "I have it" }));
  expect(closed).toHaveBeenCalledOnce();
});

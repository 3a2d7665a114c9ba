import { act, fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { api } from "@/api/client";
import { RevokeDialog } from "@/views/access/revoke-dialog";

vi.mock("@/api/client", () => ({ api: { POST: vi.fn(async () => ({})) } }));

it("says why a key is revoked, to the node and in the command", async () => {
  const key = { id: "k1", name: "old ci" };
  render(<RevokeDialog of={key} onRevoked={async () => {}} onClose={() => {}} />);
  fireEvent.change(screen.getByLabelText(/^Why/), { target: { value: " the server is gone " } });
  expect(screen.getByText(/key revoke/).textContent).toBe(
    "buildnet key revoke 'old ci' --reason 'the server is gone'",
  );
  fireEvent.change(screen.getByLabelText(/^Type/), { target: { value: "old ci" } });
  await act(async () =>
    fireEvent.click(screen.getByRole("button", { name: "Revoke", hidden: true })),
  );
  expect(api.POST).toHaveBeenCalledWith("/api/keys/{name}/revoke", {
    params: { path: { name: "k1" } },
    body: { reason: "the server is gone" },
  });
});

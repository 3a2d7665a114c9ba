import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { Problem } from "@/api/problem";
import { Keys } from "@/views/access/keys";

let isAway = false;

vi.mock("@/api/session", () => ({ useMay: () => false }));
vi.mock("@/api/client", () => ({
  query: { useQuery: (_: string, path: string) => useQuery({ queryKey: [path], queryFn: told }) },
}));

async function told() {
  if (isAway) throw new Problem("the node does not answer", "UNREACHABLE", 0);
  const expires_at = "2026-12-01T00:00:00Z";
  const key = { id: "k1", name: "ci", made_by: "ann", status: "valid", rights: "admin" };
  return { keys: [{ ...key, scope: [], used_here_at: null, expires_at }] };
}

it("keeps the keys that it knows when they can't be asked for again, and says how old they are", async () => {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <QueryClientProvider client={client}>
      <Keys />
    </QueryClientProvider>,
  );
  expect(await screen.findByText("ci")).toBeDefined();
  isAway = true;
  await act(() => client.refetchQueries());
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("the node does not answer");
  expect(alert.textContent).toContain("Shown is what was told");
  expect(screen.getByText("ci")).toBeDefined();
});

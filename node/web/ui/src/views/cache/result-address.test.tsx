import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import Cache from "@/views/cache/cache";

const ACTION = "0ada593c0d08b217";
const RESULT = { action: ACTION, label: "shop/cart build", hits: 1, bytes: 9, duration_ms: 5 };

vi.mock("@/api/session", () => ({ useMay: () => false }));
vi.mock("@/api/client", () => ({
  query: { useQuery: () => ({ data: undefined, error: null }) },
  api: {
    GET: async () => ({
      data: {
        actions: [{ ...RESULT, isolation: "strict", created_at: 1, used_at: 1 }],
        next: null,
      },
    }),
  },
}));
vi.mock("@/views/cache/result-detail", () => ({
  ResultDetail: ({ action, onClose }: { action: string; onClose: () => void }) => (
    <button type="button" onClick={onClose}>
      detail of {action}
    </button>
  ),
}));

beforeEach(() => history.replaceState(null, "", "/ui/cache"));

it("has an address for the result that is looked at", async () => {
  render(
    <QueryClientProvider client={new QueryClient()}>
      <Cache />
    </QueryClientProvider>,
  );
  await userEvent.click(await screen.findByRole("button", { name: ACTION.slice(0, 12) }));
  expect(location.search).toBe(`?result=${ACTION}`);
  await userEvent.click(screen.getByRole("button", { name: `detail of ${ACTION}` }));
  expect(location.search).toBe("");
});

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import Cache from "@/views/cache/cache";

const asked: string[] = [];

vi.mock("@/api/session", () => ({ useMay: () => false }));
vi.mock("@/api/client", () => ({
  query: { useQuery: () => ({ data: undefined, error: null }) },
  api: {
    GET: async (_: string, { params }: { params: { query: { label?: string } } }) => {
      asked.push(params.query.label ?? "");
      return { data: { actions: [], next: null } };
    },
  },
}));

beforeEach(() => history.replaceState(null, "", "/ui/cache"));

it("keeps the search box while the node looks for what is typed", async () => {
  render(
    <QueryClientProvider client={new QueryClient()}>
      <Cache />
    </QueryClientProvider>,
  );
  const box = screen.getByRole("searchbox");
  await userEvent.type(box, "api", { delay: 300 });
  await waitFor(() => expect(asked.at(-1)).toBe("api"));
  expect(screen.getByRole("searchbox")).toBe(box);
  expect(document.activeElement).toBe(box);
});

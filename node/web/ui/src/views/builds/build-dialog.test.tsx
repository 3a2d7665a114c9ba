import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { Problem } from "@/api/problem";
import { BuildDialog } from "@/views/builds/build-dialog";

vi.mock("@/api/client", () => ({
  query: {
    useQuery: (_: string, path: string) =>
      useQuery({ queryKey: [path], queryFn: async () => told(path), retry: false }),
  },
}));
vi.mock("@/views/builds/start", async (original) => ({
  ...(await original<object>()),
  useBegin: () => () => {},
}));

function told(path: string) {
  if (path === "/api/configs") throw new Problem("the configurations can't be read", "FAILED", 500);
  if (path === "/api/workspace") return { packages: [{ name: "core", tasks: ["build"] }] };
  return { workspaces: [{ root: "/w", name: "shop", problem: null }] };
}

it("says that configurations can't be had, and builds without one", async () => {
  render(
    <QueryClientProvider client={new QueryClient()}>
      <BuildDialog onClose={() => {}} />
    </QueryClientProvider>,
  );
  expect((await screen.findByRole("alert")).textContent).toContain("can't be read");
  expect(screen.getByLabelText("Configuration")).toBeDefined();
});

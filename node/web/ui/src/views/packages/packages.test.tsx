import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { Toasts } from "@/components/toasts";
import Packages from "@/views/packages/packages";

const at = vi.hoisted(() => ({ kind: "gone", isOwner: true, forgotten: [] as string[] }));

vi.mock("@/api/session", () => ({ useMay: () => at.isOwner }));
vi.mock("@/api/client", () => ({
  query: {
    useQuery: (method: string, path: string) =>
      useQuery({ queryKey: [method, path], queryFn: told }),
  },
  api: {
    DELETE: async (_: string, { params }: { params: { query: { root: string } } }) => {
      at.forgotten.push(params.query.root);
    },
  },
}));

async function told() {
  const problem = { problem: "it is no use", problem_kind: at.kind };
  const one = { root: "/srv/shop", name: null, packages: null, ...problem };
  return { workspaces: at.forgotten.length > 0 ? [] : [one], next: null };
}

beforeEach(() => Object.assign(at, { kind: "gone", isOwner: true, forgotten: [] }));

function show() {
  render(
    <QueryClientProvider client={new QueryClient()}>
      <Toasts>
        <Packages />
      </Toasts>
    </QueryClientProvider>,
  );
}

it("offers to forget a workspace whose directory is gone, and nothing that needs it", async () => {
  show();
  const card = await screen.findByRole("alert");
  expect(card.textContent).toContain("/srv/shop is gone");
  expect(card.textContent).not.toContain("-C");
  await userEvent.click(screen.getByRole("button", { name: "Forget it" }));
  expect(at.forgotten).toEqual(["/srv/shop"]);
  expect(await screen.findByText(/No workspace of this node/)).toBeDefined();
});

it("says who may forget it", async () => {
  at.isOwner = false;
  show();
  expect((await screen.findByRole("alert")).textContent).toContain("owner of this host");
  expect(screen.queryByRole("button", { name: "Forget it" })).toBeNull();
});

it("offers to look at one that can't be read where it is", async () => {
  at.kind = "unreadable";
  show();
  expect((await screen.findByRole("alert")).textContent).toContain("-C /srv/shop");
});

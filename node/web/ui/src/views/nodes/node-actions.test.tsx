import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { Toasts } from "@/components/toasts";
import type { PoolNode } from "@/live/pool-nodes";
import { aPoolNode } from "@/testing/nodes";
import { NodeActions, NotOffered } from "@/views/nodes/node-actions";

const removed = vi.hoisted(() => vi.fn());
let rights: string[];

vi.mock("@/api/session", () => ({ useMay: (action: string) => rights.includes(action) }));
vi.mock("@/api/client", () => ({ api: { DELETE: removed } }));

beforeEach(() => {
  rights = ["modify-resources", "manage-nodes"];
  removed.mockReset();
});

function show(of: Partial<PoolNode>) {
  const node = aPoolNode(of);
  render(
    <Toasts>
      <NodeActions node={node} />
      <NotOffered node={node} />
    </Toasts>,
  );
  return screen.queryAllByRole("button").map((button) => button.textContent?.trim());
}

it("offers all of it of a node that answers", () => {
  const offered = show({});
  expect(offered).toEqual(["Drain", "Limits and tags", "Make it coordinate", "Remove", "Revoke"]);
});

it.each(["offline", "suspect", "left"])(
  "of a node that is %s offers what needs no word of it",
  (status) => {
    const offered = show({ status } as Partial<PoolNode>);
    expect(offered).toEqual(["Remove", "Revoke", ""]);
    expect(screen.getByText(`It is ${status}`, { exact: false })).toBeDefined();
    expect(screen.getByText("buildnet node drain")).toBeDefined();
  },
);

it("does not offer that the node which is looked at removes itself", () => {
  expect(show({ this_node: true })).not.toContain("Remove");
  expect(screen.getByText("buildnet node leave")).toBeDefined();
});

it("says nothing of it to who may do none of that", () => {
  rights = [];
  expect(show({ status: "offline" })).toEqual([]);
});

it("removes at once a node that can't say what is in flight there", async () => {
  show({ status: "offline" });
  await userEvent.click(screen.getByRole("button", { name: "Remove" }));
  expect(screen.getByText("buildnet server remove anna --force")).toBeDefined();
  await userEvent.type(screen.getByRole("textbox"), "anna");
  await userEvent.click(screen.getAllByRole("button", { name: "Remove" }).at(-1) as HTMLElement);
  const params = { path: { name: "591a6103ee771cc4" }, query: { force: true } };
  expect(removed).toHaveBeenCalledWith("/api/servers/{name}", { params });
});

import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { Toasts } from "@/components/toasts";
import type { PoolNode } from "@/live/pool-nodes";
import { aPoolNode } from "@/testing/nodes";
import { NodeActions, NotOffered } from "@/views/nodes/node-actions";

const removed = vi.hoisted(() => vi.fn());
const posted = vi.hoisted(() => vi.fn());
let rights: string[];

vi.mock("@/api/session", () => ({ useMay: (action: string) => rights.includes(action) }));
vi.mock("@/api/client", () => ({ api: { DELETE: removed, POST: posted } }));

beforeEach(() => {
  rights = ["modify-resources", "manage-nodes"];
  removed.mockReset();
  posted.mockReset();
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

it("does not offer a drained node for the office", () => {
  expect(show({ draining: true })).not.toContain("Make it coordinate");
});

it("asks before it drains, and says what is left", async () => {
  show({});
  posted.mockResolvedValue({ data: { running: 1, builds: 0 } });
  await userEvent.click(screen.getByRole("button", { name: "Drain" }));
  expect(posted).not.toHaveBeenCalled();
  await userEvent.click(screen.getAllByRole("button", { name: "Drain" }).at(-1) as HTMLElement);
  expect(posted).toHaveBeenCalledWith("/api/servers/{name}/drain", {
    params: { path: { name: "591a6103ee771cc4" } },
  });
  expect(await screen.findByText(/1 thing in flight runs to its end/)).toBeDefined();
});

it("asks before it hands the office over, and says what came of it", async () => {
  show({});
  posted.mockResolvedValue({ data: { success: true } });
  await userEvent.click(screen.getByRole("button", { name: "Make it coordinate" }));
  expect(posted).not.toHaveBeenCalled();
  expect(screen.getByText("buildnet node promote --keep anna")).toBeDefined();
  await userEvent.click(screen.getByRole("checkbox"));
  expect(screen.getByText(/has the office again/)).toBeDefined();
  await userEvent.click(
    screen.getAllByRole("button", { name: "Make it coordinate" }).at(-1) as HTMLElement,
  );
  const body = { node: "591a6103ee771cc4", keep: false };
  expect(posted).toHaveBeenCalledWith("/api/node/promote", { body });
  expect(await screen.findByText(/^anna coordinates now/)).toBeDefined();
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

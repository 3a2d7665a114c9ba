import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { Router } from "wouter";
import { memoryLocation } from "wouter/memory-location";
import type { PoolNode } from "@/live/pool-nodes";
import { aPoolNode } from "@/testing/nodes";
import Nodes from "@/views/nodes/nodes";

let nodes: PoolNode[] = [];

vi.mock("@/live/pool-nodes", () => ({
  usePoolNodes: () => ({ nodes, error: null, isPending: false, refetch: () => {} }),
}));
vi.mock("@/api/session", () => ({ useMay: () => false }));

beforeEach(() => {
  nodes = Array.from({ length: 100 }, (_, place) =>
    aPoolNode({
      id: place.toString(16).padStart(16, "0"),
      name: `node${place + 1}`,
      status: place % 10 === 0 ? "busy" : "online",
      latency_ms: place,
    }),
  );
});

function show(path: string) {
  const { hook, searchHook } = memoryLocation({ path, record: true });
  render(
    <Router hook={hook} searchHook={searchHook}>
      <Nodes />
    </Router>,
  );
}

it("shows a hundred nodes as a table, in an order that people expect", () => {
  show("/ui/nodes");
  const rows = screen.getAllByRole("row").slice(1);
  expect(rows).toHaveLength(100);
  expect(within(rows[1] as HTMLElement).getByRole("link").textContent).toBe("node2");
  expect(screen.getByText("100 nodes")).toBeDefined();
});

it("shows few as cards, with a meter each for CPU, memory and disk", () => {
  nodes = nodes.slice(0, 3);
  show("/ui/nodes");
  expect(screen.queryAllByRole("row")).toEqual([]);
  expect(screen.getAllByRole("meter")).toHaveLength(9);
  expect(screen.getAllByText("30 %, 2 of 8 cores in use by builds")).toHaveLength(3);
});

it("says unknown of what a node has not told", () => {
  nodes = [aPoolNode({ resources: null, utilization: null, latency_ms: null })];
  show("/ui/nodes");
  expect(screen.queryAllByRole("meter")).toEqual([]);
  expect(screen.getAllByText("unknown")).toHaveLength(5);
});

it("keeps what fits the filters of the address, and says of how many", async () => {
  show("/ui/nodes?status=busy");
  expect(screen.getByText("10 of 100 nodes")).toBeDefined();
  await userEvent.selectOptions(screen.getByLabelText("Status"), "suspect");
  expect(screen.getByText("No node fits these filters")).toBeDefined();
});

it("sorts all nodes before it cuts off those that are too many to show", () => {
  nodes = Array.from({ length: 130 }, (_, place) =>
    aPoolNode({
      id: place.toString(16).padStart(16, "0"),
      name: `node${place + 1}`,
      role: place === 129 ? "observer" : "worker",
    }),
  );
  show("/ui/nodes?sort=role");
  const rows = screen.getAllByRole("row").slice(1);
  expect(rows).toHaveLength(120);
  expect(within(rows[0] as HTMLElement).getByRole("link").textContent).toBe("node130");
  expect(screen.getByRole("button", { name: "Show 10 more of 130" })).toBeDefined();
});

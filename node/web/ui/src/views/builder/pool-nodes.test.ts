import { expect, test } from "vitest";
import type { Schema } from "@/api/client";
import { GIB, offeredPrograms, poolNodes } from "@/views/builder/pool-nodes";
import { node } from "@/views/builder/testing";

const item = (name: string, more: object = {}) =>
  ({
    id: `id-${name}`,
    name,
    status: "online",
    role: "worker",
    this_node: false,
    cores_in_use: 0,
    resources: RESOURCES,
    utilization: null,
    ...more,
  }) as unknown as Schema["Node"];
const RESOURCES = {
  cpu: { cores: 8 },
  memory: { total_bytes: 16 * GIB, available_bytes: 12 * GIB },
  storage: [{ path: "/", storage_class: "nvme", total_bytes: 9 * GIB, available_bytes: 7 * GIB }],
  tools: [
    { name: "git", version: "2.40" },
    { name: "gcc", version: null, problem: "it does not start" },
  ],
  runtimes: [],
};

test("a node has what it scanned, and free what was measured last", () => {
  const utilization = { memory_percent: 75, disks: [{ path: "/", available_bytes: 3 * GIB }] };
  const [a, b] = poolNodes([
    item("b"),
    item("a", { this_node: true, cores_in_use: 3, utilization }),
  ]);
  expect([a?.freeCores, a?.freeMemoryGb, a?.volumes[0]?.freeGb]).toEqual([5, 4, 3]);
  expect([b?.freeCores, b?.freeMemoryGb, b?.volumes[0]?.freeGb]).toEqual([8, 12, 7]);
  expect(a?.tools).toEqual([{ name: "git", version: "2.40" }]);
  expect([a?.name, a?.away, a?.thisNode]).toEqual(["a", null, true]);
});

test("a node that can't be given work says why", () => {
  const found = poolNodes([
    item("a", { status: "offline" }),
    item("b", { role: "observer" }),
    item("c", { resources: null }),
  ]);
  expect(found.map((each) => each.away)).toEqual([
    "a is offline",
    "b only watches",
    "it is not known yet what c has",
  ]);
  expect(found[2]?.cores).toBeNull();
});

test("a tool is offered once, newest version first, of nodes that can be given work", () => {
  const tools = (version: string) => ({ tools: [{ name: "git", version }] });
  const nodes = [
    node("a", tools("2.9")),
    node("b", tools("2.10")),
    node("c", { ...tools("3.0"), away: "c is offline" }),
  ];
  expect(offeredPrograms(nodes)).toEqual([
    { kind: "tool", name: "git", versions: ["2.10", "2.9"], nodes: ["a", "b"] },
  ]);
});

import { describe, expect, it } from "vitest";
import { inOrder } from "@/components/table";
import { aPoolNode } from "@/testing/nodes";
import { choices, fitting, ORDERS } from "@/views/nodes/node-list";

const ALL = { text: "", status: "", role: "", tag: "", tool: "" };
const ANNA = aPoolNode({ id: "a", name: "anna", tags: ["lab", "gpu"], measuredAt: 2_000 });
const BERTA = aPoolNode({
  id: "b",
  name: "berta",
  status: "offline",
  role: "observer",
  draining: true,
  resources: null,
  utilization: null,
  latency_ms: null,
});
const NODE2 = aPoolNode({ id: "c", name: "node2", latency_ms: 30, measuredAt: 9_000 });
const NODES = [BERTA, NODE2, ANNA];

function names(filter: Partial<typeof ALL>): string[] {
  return fitting(NODES, { ...ALL, ...filter }).map((node) => node.name);
}

describe("the list of nodes", () => {
  it("keeps what fits all filters", () => {
    expect(names({})).toEqual(["berta", "node2", "anna"]);
    expect(names({ text: "EPYC an" })).toEqual(["anna"]);
    expect(names({ status: "drained" })).toEqual(["berta"]);
    expect(names({ status: "online", tag: "gpu" })).toEqual(["anna"]);
    expect(names({ role: "observer" })).toEqual(["berta"]);
    expect(names({ tool: "git" })).toEqual(["node2", "anna"]);
    expect(names({ tool: "node" })).toEqual(["node2", "anna"]);
  });

  it("offers the tags and the programs that work somewhere", () => {
    const broken = structuredClone(ANNA);
    for (const tool of broken.resources?.tools ?? []) tool.problem = "it hung";
    expect(choices([broken])).toEqual({ tags: ["gpu", "lab"], tools: ["node"] });
  });

  it("sorts by each figure, what is unknown last", () => {
    const by = (order: string) => inOrder(NODES, ORDERS, order).map((node) => node.name);
    expect(by("name")).toEqual(["anna", "berta", "node2"]);
    expect(by("latency")).toEqual(["anna", "node2", "berta"]);
    expect(by("status")).toEqual(["berta", "node2", "anna"]);
    expect(by("age")).toEqual(["node2", "anna", "berta"]);
    expect(by("")).toEqual(["berta", "node2", "anna"]);
  });
});

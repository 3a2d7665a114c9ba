import { describe, expect, it } from "vitest";
import type { Item, Items } from "@/live/items";
import { merger } from "@/live/pool-nodes";
import { aNode } from "@/testing/nodes";

const NONE: Items = new Map();

function items(...all: Item[]): Items {
  return new Map(all.map((item) => [item.id, item]));
}

describe("merger", () => {
  it("shows what was asked for until the channels tell", () => {
    const merge = merger();
    const nodes = merge([aNode({ id: "a", status: "busy" })], 100_000, NONE, NONE);
    expect(nodes.map((node) => [node.id, node.status])).toEqual([["a", "busy"]]);
    const told = items(
      { id: "a", status: "offline" },
      { id: "b", name: "berta", status: "online" },
    );
    expect(
      merge([aNode({ id: "a" })], 100_000, told, NONE).map((node) => [node.id, node.status]),
    ).toEqual([
      ["a", "offline"],
      ["b", "online"],
    ]);
  });

  it("drops who is gone", () => {
    const merge = merger();
    const asked = [aNode({ id: "a" }), aNode({ id: "b" })];
    expect(merge(asked, 0, items({ id: "b" }), NONE).map((node) => node.id)).toEqual(["b"]);
  });

  it("keeps a node of which nothing is new, and the whole list", () => {
    const merge = merger();
    const asked = [aNode({ id: "a" }), aNode({ id: "b" })];
    const a = { id: "a" };
    const before = merge(asked, 0, items(a, { id: "b" }), NONE);
    const after = merge(asked, 0, items(a, { id: "b", builds: 2 }), NONE);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
    expect(merge(asked, 0, items(a, after[1] as never), NONE)[0]).toBe(before[0]);
  });

  it("tells the age by the browser's clock, whatever the node's clock says", () => {
    const merge = merger();
    const utilization = {
      cpu_percent: 1,
      memory_percent: 1,
      load_average: null,
      disks: [],
      measured_at: "2020-01-01T00:00:00Z",
    };
    const asked = [aNode({ id: "a", age_s: 8, measured_at: "2020-01-01T00:00:00Z", utilization })];
    expect(merge(asked, 100_000, NONE, NONE)[0]?.measuredAt).toBe(92_000);
    const newer = { ...utilization, measured_at: "2020-01-01T00:00:30Z" };
    const load = items({ id: "a", utilization: newer });
    expect(merge(asked, 100_000, items({ id: "a" }), load)[0]?.measuredAt).toBe(122_000);
    expect(merge([aNode({ id: "a", age_s: null })], 5, NONE, NONE)[0]?.measuredAt).toBeNull();
  });
});

import { describe, expect, it } from "vitest";
import type { Schema } from "@/api/client";
import { cellPaths } from "@/views/topology/grid-paths";
import { layout, nearGroups } from "@/views/topology/layout";
import { Links, linkLabel, linkWords } from "@/views/topology/links";

function link(from: string, to: string, latency: number | null, of = {}): Schema["Connection"] {
  return {
    from_node: from,
    to_node: to,
    latency_ms: latency,
    bandwidth_mbps: null,
    status: latency === null ? null : latency <= 10 ? "good" : latency <= 80 ? "fair" : "poor",
    estimated: false,
    age_s: 2,
    ...of,
  };
}

describe("Links", () => {
  const links = new Links(
    [link("a", "b", 3), link("c", "a", 90, { estimated: true, age_s: null }), link("b", "c", 40)],
    10_000,
  );

  it("finds a link from either end, with its age by this browser's clock", () => {
    expect(links.between("b", "a")).toBe(links.between("a", "b"));
    expect(links.between("a", "b")?.at).toBe(8_000);
    expect(links.between("a", "c")?.at).toBeNull();
    expect(links.between("a", "d")).toBeUndefined();
  });

  it("sorts by how long the way is, and calls unknown what is not known", () => {
    expect(links.of("a").map((one) => one.latencyMs)).toEqual([3, 90]);
    expect(links.slowest(5).map((one) => one.latencyMs)).toEqual([90, 40]);
    expect(linkWords(links.between("a", "c"))).toBe("90 ms, estimated");
    expect(linkWords(undefined)).toBe("unknown");
    const fast = new Links([link("a", "b", 1.26, { bandwidth_mbps: 940.2 })], 0);
    expect(linkWords(fast.between("a", "b"))).toBe("1.3 ms, 940 Mbit/s");
    expect(fast.all.map(linkLabel)).toEqual(["1.3 ms, 940 Mbit/s"]);
    expect(links.all.map(linkLabel)).toEqual(["3.0 ms", "~90 ms", "40 ms"]);
    expect([links.knowBandwidth, fast.knowBandwidth]).toEqual([false, true]);
  });
});

describe("layout", () => {
  const ids = Array.from({ length: 100 }, (_, place) => `n${place}`);
  const sites = new Links(
    ids.slice(1).map((id, place) => link(ids[place] ?? "", id, place === 59 ? 50 : 2)),
    0,
  );

  it("groups what is near, and never mixes what is far", () => {
    expect(nearGroups(ids, sites).map((group) => group.length)).toEqual([60, 40]);
    expect(nearGroups(["x", "y"], new Links([], 0))).toEqual([["x"], ["y"]]);
  });

  it("puts no two nodes onto each other", () => {
    const sizes = [1, 2, 3, 6, 7, 12, 13, 100].flatMap((count) => [
      [count, 350] as const,
      [count, 1000] as const,
    ]);
    for (const [count, width] of sizes) {
      const { nodes, card } = layout(ids.slice(0, count), sites, width);
      expect(nodes).toHaveLength(count);
      for (const [place, one] of nodes.entries()) {
        for (const other of nodes.slice(place + 1)) {
          const isApart =
            Math.abs(one.x - other.x) >= card.width || Math.abs(one.y - other.y) >= card.height;
          expect(isApart, `${count} in ${width}: ${one.id} and ${other.id}`).toBe(true);
        }
      }
    }
  });

  it("frames each group around its nodes", () => {
    const { nodes, groups, card, height } = layout(ids, sites, 1000);
    for (const group of groups) {
      expect(group.x + group.width).toBeLessThanOrEqual(1000);
      expect(group.y + group.height).toBeLessThanOrEqual(height);
      for (const node of nodes.filter((one) => group.ids.includes(one.id))) {
        expect(node.x).toBeGreaterThanOrEqual(group.x);
        expect(node.y + card.height).toBeLessThanOrEqual(group.y + group.height);
      }
    }
  });
});

it("draws the cells of a grade in one path, on both sides of the diagonal", () => {
  const links = new Links([link("a", "b", 3), link("b", "c", 90)], 0);
  const paths = cellPaths(["a", "b", "c"], links, 10);
  expect(Object.keys(paths).sort()).toEqual(["good", "poor", "self", "unknown"]);
  expect(paths.good).toBe("M10 0h10v10h-10zM0 10h10v10h-10z");
  expect(paths.unknown).toBe("M20 0h10v10h-10zM0 20h10v10h-10z");
});

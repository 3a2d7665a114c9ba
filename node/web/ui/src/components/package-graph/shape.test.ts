import { describe, expect, it } from "vitest";
import { essential, layout } from "@/components/package-graph/layout";
import { type GraphPackage, type GraphState, shown } from "@/components/package-graph/shape";

function one(id: string, needs: string[], path = id, state: GraphState = "built"): GraphPackage {
  return { id, state, path, needs };
}

const SHOP = [
  one("base", [], "libs/base"),
  one("ui", ["base"], "libs/ui", "failed"),
  one("api", ["base"], "apps/api"),
  one("web", ["ui"], "apps/web"),
  one("icons", [], "libs/icons"),
  one("docs", ["icons"], "apps/docs"),
];
const NOTHING = { collapsed: new Set<string>(), open: null, focus: null };
const ids = (found: ReturnType<typeof shown>) => found.nodes.map((node) => node.id).sort();

describe("what is shown of a graph", () => {
  it("is all of it where nothing else is wished", () => {
    const found = shown(SHOP, NOTHING);
    expect(ids(found)).toEqual(["api", "base", "docs", "icons", "ui", "web"]);
    expect(found.edges).toContainEqual(["ui", "web"]);
    expect(found.edges).toHaveLength(4);
  });

  it("leaves out what a folded package alone needs", () => {
    const found = shown(SHOP, { ...NOTHING, collapsed: new Set(["web"]) });
    expect(ids(found)).toEqual(["api", "base", "docs", "icons", "web"]);
    expect(found.nodes.find((node) => node.id === "web")?.hidden).toBe(1);
  });

  it("is what one package needs, and what needs it", () => {
    const found = shown(SHOP, { ...NOTHING, focus: "ui" });
    expect(ids(found)).toEqual(["base", "ui", "web"]);
  });

  it("draws directories as one, in the state that tells most, with edges between them", () => {
    const found = shown(SHOP, { ...NOTHING, open: new Set() });
    expect(ids(found)).toEqual(["dir:apps", "dir:libs"]);
    expect(found.nodes.find((node) => node.id === "dir:libs")).toMatchObject({
      label: "libs/ (3)",
      state: "failed",
      members: ["base", "ui", "icons"],
    });
    expect(found.edges).toEqual([["dir:libs", "dir:apps"]]);
    const open = shown(SHOP, { ...NOTHING, open: new Set(["apps"]) });
    expect(open.nodes.map((node) => [node.id, node.within])).toContainEqual(["docs", "apps"]);
    expect(found.nodes.every((node) => node.within === null)).toBe(true);
    expect(shown(SHOP, NOTHING).nodes.every((node) => node.within === null)).toBe(true);
    expect(ids(open)).toEqual(["api", "dir:libs", "docs", "web"]);
  });

  it("ends where packages need each other in a ring", () => {
    const ring = [one("a", ["b"]), one("b", ["a"])];
    expect(ids(shown(ring, { ...NOTHING, focus: "a" }))).toEqual(["a", "b"]);
  });
});

describe("the layout", () => {
  it("puts what is needed to the left of who needs it", () => {
    const { at } = layout({ nodes: ["a", "b"], edges: [["a", "b"]] });
    expect(at.a?.x).toBeLessThan(at.b?.x ?? 0);
  });

  it("gives no room to edges that a way over others replaces, but keeps all connected", () => {
    const chain = [
      ["a", "b"],
      ["b", "c"],
      ["a", "c"],
    ] as const;
    expect(essential(chain)).toEqual(chain.slice(0, 2));
    const ring = [
      ["a", "b"],
      ["b", "a"],
      ["a", "c"],
      ["b", "c"],
    ] as const;
    const kept = essential(ring);
    expect(new Set(kept.map(([from]) => from))).toEqual(new Set(["a", "b"]));
    expect(kept.some(([, to]) => to === "c")).toBe(true);
  });

  it("of hundreds is no ribbon, and no two lie on each other", () => {
    const nodes = Array.from({ length: 400 }, (_, number) => `p${number}`);
    const edges = nodes.slice(4).map((id, number) => [nodes[number % 4] ?? "", id] as const);
    const { width, height, at } = layout({ nodes, edges });
    expect(width / height).toBeGreaterThan(0.5);
    expect(width / height).toBeLessThan(5);
    expect(new Set(Object.values(at).map(({ x, y }) => `${x} ${y}`)).size).toBe(400);
  });

  it("of hundreds puts all that is needed to the left, and what is linked beside each other", () => {
    const nodes = Array.from({ length: 300 }, (_, number) => `p${number}`);
    const edges = Array.from(
      { length: 100 },
      (_, number) => [`p${(number * 37) % 100}`, `p${number + 100}`] as const,
    );
    const { at } = layout({ nodes, edges });
    const spans = edges.map(([from, to]) => {
      const [a, b] = [at[from], at[to]];
      if (a === undefined || b === undefined) throw new Error("no place");
      expect(a.x).toBeLessThan(b.x);
      return Math.abs(a.y - b.y);
    });
    expect(Math.max(...spans)).toBeLessThan(200);
  });

  it("of hundreds has a place for each, also where they need each other in a circle", () => {
    const nodes = Array.from({ length: 200 }, (_, number) => `p${number}`);
    const edges = nodes.map((id, number) => [id, nodes[(number + 1) % 200] ?? ""] as const);
    expect(Object.keys(layout({ nodes, edges }).at)).toHaveLength(200);
  });
});

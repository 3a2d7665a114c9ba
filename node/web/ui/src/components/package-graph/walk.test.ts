import { expect, it } from "vitest";
import { layered } from "@/components/package-graph/layers";
import type { Places } from "@/components/package-graph/places";
import { first, walk } from "@/components/package-graph/walk";

const at: Places["at"] = {
  schema: { x: 0, y: 100 },
  money: { x: 0, y: 0 },
  cart: { x: 300, y: 20 },
  api: { x: 300, y: 120 },
  shop: { x: 600, y: 50 },
};
const edges: [string, string][] = [
  ["schema", "cart"],
  ["schema", "api"],
  ["money", "cart"],
  ["cart", "shop"],
  ["api", "shop"],
];
const go = (key: string, from: string) => walk(key, from, { edges }, { at });

it("goes along edges to the sides, and to what stands above and below", () => {
  expect(go("ArrowRight", "schema")).toBe("api");
  expect(go("ArrowLeft", "cart")).toBe("money");
  expect(go("ArrowRight", "money")).toBe("cart");
  expect(go("ArrowDown", "cart")).toBe("api");
  expect(go("ArrowUp", "api")).toBe("cart");
});

it("stays where there is nothing further, and leaves other keys alone", () => {
  expect(go("ArrowRight", "shop")).toBe("shop");
  expect(go("ArrowUp", "money")).toBe("money");
  expect(go("Tab", "money")).toBeNull();
  expect(go("ArrowUp", "unknown")).toBeNull();
});

it("begins at the upper left", () => {
  expect(first(at)).toBe("money");
  expect(go("Home", "shop")).toBe("money");
  expect(first({})).toBeNull();
});

it("reaches each package, also those that neither need anything nor are needed", () => {
  const ids = Array.from({ length: 200 }, (_, number) => `p${number}`);
  const places = Object.fromEntries(layered(ids, []).map(({ id, x, y }) => [id, { x, y }]));
  const reached = new Set([first(places) ?? ""]);
  for (const id of reached) {
    reached.add(walk("ArrowDown", id, { edges: [] }, { at: places }) ?? "");
  }
  expect(reached.size).toBe(200);
  const back = new Set([[...reached].at(-1) ?? ""]);
  for (const id of back) back.add(walk("ArrowUp", id, { edges: [] }, { at: places }) ?? "");
  expect([...back].reverse()).toEqual([...reached]);
});

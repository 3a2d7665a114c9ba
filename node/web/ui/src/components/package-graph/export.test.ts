import { expect, it } from "vitest";
import { shortened, toSvg } from "@/components/package-graph/export";
import { layout } from "@/components/package-graph/layout";
import { type GraphPackage, shown } from "@/components/package-graph/shape";

it("makes a drawing that stands alone and keeps names as they are", () => {
  const packages: GraphPackage[] = [
    { id: "<a&b>", state: "failed", path: null, needs: [] },
    { id: "c", state: "built", path: null, needs: ["<a&b>"] },
  ];
  const shape = shown(packages, { collapsed: new Set(), open: null, focus: null });
  const places = layout({ nodes: shape.nodes.map((node) => node.id), edges: shape.edges });
  const svg = toSvg(shape, places, (name) => (name === "--bad" ? "#ff0000" : "#123456"), "w");
  const read = new DOMParser().parseFromString(svg, "image/svg+xml");
  expect(read.querySelectorAll("rect")).toHaveLength(3);
  expect([...read.querySelectorAll("text")].map((text) => text.textContent)).toEqual([
    "<a&b>",
    "c",
  ]);
  expect(svg).toContain('stroke="#ff0000"');
  expect(svg).not.toMatch(/foreignObject|var\(|href/);
});

it("shortens long names in the middle", () => {
  expect(shortened("@company/a-very-long-package-name")).toMatch(/^@comp.*….*name$/);
  expect(shortened("core")).toBe("core");
});

import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { GraphList } from "@/components/package-graph/graph-list";
import type { GraphPackage, Shown } from "@/components/package-graph/shape";

it("sorts all packages before it cuts off those that are too many to show", () => {
  history.replaceState(null, "", "/?order=-package");
  const nodes = Array.from({ length: 60 }, (_, place) => ({
    id: `p${place}`,
    label: `p${place}`,
    state: "idle",
    members: null,
    within: null,
  }));
  render(
    <GraphList
      shape={{ nodes, edges: [] } as unknown as Shown}
      packages={[] as GraphPackage[]}
      found={null}
      onSelect={() => {}}
    />,
  );
  const rows = screen.getAllByRole("row").slice(1);
  expect(rows).toHaveLength(50);
  expect(rows[0]?.textContent).toContain("p59");
});

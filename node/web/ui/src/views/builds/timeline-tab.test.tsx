import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import TimelineTab from "@/views/builds/timeline-tab";
import type { ShownBuild } from "@/views/builds/use-build";

const bars = Array.from({ length: 60 }, (_, place) => ({
  key: `p${place} build`,
  node: "node1",
  from: place,
  to: place + 1,
  parts: [],
  critical: false,
}));

vi.mock("@/api/client", () => ({ query: { useQuery: () => ({ data: undefined }) } }));
vi.mock("@/views/builds/use-names", () => ({ useNames: () => new Map() }));
vi.mock("@/views/builds/timeline-canvas", () => ({ TimelineCanvas: () => null }));
vi.mock("@/views/builds/timeline-rows", async (original) => ({
  ...(await original<object>()),
  rowsOf: () => ({ bars, labels: [], end: 60 }),
}));

it("sorts all tasks before it cuts off those that are too many to show", () => {
  history.replaceState(null, "", "/?bars=-begins");
  const build = { id: "b", tasks: [], told: null, live: { begun: null }, running: false };
  render(<TimelineTab build={build as unknown as ShownBuild} />);
  const rows = screen.getAllByRole("row", { hidden: true }).slice(1);
  expect(rows).toHaveLength(50);
  expect(rows[0]?.textContent).toContain("p59 build");
});

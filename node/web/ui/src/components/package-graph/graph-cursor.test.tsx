import { act, render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { ReactFlowProvider } from "@xyflow/react";
import { type ReactNode, useState } from "react";
import { expect, it, vi } from "vitest";
import { GraphCursor } from "@/components/package-graph/graph-cursor";
import type { Places } from "@/components/package-graph/places";
import { type GraphPackage, shown } from "@/components/package-graph/shape";

vi.mock("@xyflow/react", async (original) => ({
  ...(await original<object>()),
  ViewportPortal: ({ children }: { children: ReactNode }) => children,
}));

const PACKAGES: GraphPackage[] = ["apps/shop", "libs/cart", "libs/money"].map((path) => ({
  id: path.slice(5),
  state: "idle",
  path,
  needs: [],
}));
const CLOSED = { collapsed: new Set<string>(), open: new Set<string>(), focus: null };

function placesOf(ids: readonly string[]): Places {
  const at = Object.fromEntries(ids.map((id, place) => [id, { x: 0, y: 50 * place }]));
  return { width: 200, height: 200, at, routes: {} };
}

let layOut: () => void;

function Drawing() {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const shape = shown(PACKAGES, { ...CLOSED, open });
  const [places, setPlaces] = useState(() => placesOf(shape.nodes.map((one) => one.id)));
  layOut = () => setPlaces(placesOf(shape.nodes.map((one) => one.id)));
  return (
    <GraphCursor
      shape={shape}
      places={places}
      selected={null}
      onSelect={() => setOpen(new Set(["libs"]))}
    />
  );
}

it("keeps the keyboard while an opened directory is laid out, and goes into it", async () => {
  render(<Drawing />, { wrapper: ReactFlowProvider });
  await userEvent.tab();
  await userEvent.keyboard("{ArrowDown}{Enter}");
  expect(document.activeElement?.tagName).toBe("BUTTON");
  act(() => layOut());
  expect(document.activeElement?.getAttribute("aria-label")).toMatch(/^cart:/);
});

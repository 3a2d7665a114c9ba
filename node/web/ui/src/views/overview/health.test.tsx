import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import type { Schema } from "@/api/client";
import { aPoolNode } from "@/testing/nodes";
import { Health } from "@/views/overview/health";

vi.mock("@/live/use-live", () => ({ useFeedState: () => ({ status: "live" }) }));

const HEALTH = {
  healthy: true,
  problems: [],
  coordinator: { node_id: "a", name: "anna", term: 1, quorum: true },
  quorum: { state: "3 of 3 voters" },
  sealing: { height: 1, works: true },
} as unknown as Schema["PoolHealth"];

it.each([
  ["online", "The cluster is well"],
  ["offline", "The cluster works, but 1 node is not there"],
] as const)("with a node that is %s it says: %s", (status, verdict) => {
  const nodes = [aPoolNode({ id: "a" }), aPoolNode({ id: "b", name: "berta", status })];
  render(<Health health={HEALTH} nodes={nodes} askedAt={Date.now()} />);
  expect(screen.getByText(verdict)).toBeDefined();
});

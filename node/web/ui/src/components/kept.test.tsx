import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, render, screen } from "@testing-library/react";
import type { ReactNode } from "react";
import { beforeEach, expect, it, vi } from "vitest";
import { Problem } from "@/api/problem";
import Compare from "@/views/builds/compare";
import { KnownInLedger } from "@/views/builds/known-in-ledger";
import ReviewTab from "@/views/builds/review-tab";
import { TrendsOf } from "@/views/builds/trends";
import type { ShownBuild } from "@/views/builds/use-build";
import { Seals } from "@/views/ledger/seals";
import { StateAt } from "@/views/ledger/state-at";

let isAway: boolean;

vi.mock("@/api/client", () => ({
  query: {
    useQuery: (_: string, path: string) =>
      useQuery({ queryKey: [path], queryFn: async () => told(path) }),
  },
}));
vi.mock("@/live/use-live", () => ({ useItems: () => new Map(), useNodes: () => [] }));
vi.mock("@/api/session", () => ({ useMay: () => true }));
vi.mock("@/live/use-refetch", () => ({ useRefetchOnPool: () => {} }));

const ACTOR = { id: "a", name: "anna", kind: "node" };
const ENTRY = { id: "e1", time: "2026-11-22T01:00:00Z", hlc: 1, type: "build.started", data: {} };
const SIDE = { build_id: "b1", workspace: "shop", status: "completed", duration_ms: 9 };
const TOLD: Record<string, unknown> = {
  "/api/builds/trends": {
    workspace: "shop",
    builds: 2,
    overall: { hit_rate: null, ran: 1, failed: 0 },
    tasks: [
      { task: "app#build", p50_ms: 1, p90_ms: 1, points: [], ran: 1, hit_rate: 0, failed: 0 },
    ],
  },
  "/api/builds": { builds: [], next: null },
  "/api/builds/compare": { before: SIDE, after: SIDE, tasks: [] },
  "/api/build/{build_id}/review": {
    findings: [],
    critical_path: { steps: [], ms: 0, work_ms: 0, share: null },
    savings: { tasks: 0 },
    missed: [],
    missed_count: 0,
    phases: {},
  },
  "/api/ledger": {
    entries: [{ ...ENTRY, entity: "build:b1", text: "it began", node_id: "aa", actor: ACTOR }],
    next: null,
  },
  "/api/ledger/state": {
    entity: "node:anna",
    seal: null,
    entry: { ...ENTRY, text: "anna started", entity: "node:anna", actor: ACTOR },
    data: {},
    rows: {},
    pruned: 0,
  },
  "/api/ledger/seals": { seals: [], height: 0 },
};

function told(path: string): unknown {
  if (isAway) throw new Problem("the node does not answer", "UNREACHABLE", 0);
  return TOLD[path];
}

const DONE = { id: "b1", running: false } as unknown as ShownBuild;

beforeEach(() => {
  isAway = false;
});

it.each<[string, string, ReactNode, string]>([
  ["trends", "", <TrendsOf key="1" workspace="shop" name={null} />, "app#build"],
  ["two builds", "?a=b1&b=b2", <Compare key="1" />, "They did the same"],
  ["a review", "", <ReviewTab key="1" build={DONE} />, "No result was there."],
  ["what the ledger knows", "", <KnownInLedger key="1" id="b1" />, "it began"],
  ["a state", "?entity=node:anna", <StateAt key="1" />, "anna started"],
  ["the seals", "", <Seals key="1" />, "none yet"],
])(
  "%s stays with its age where the node does not answer any more",
  async (_, address, view, words) => {
    history.replaceState(null, "", `/ui/here${address}`);
    const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
    render(<QueryClientProvider client={client}>{view}</QueryClientProvider>);
    await screen.findByText(words);
    isAway = true;
    await act(() => client.refetchQueries());
    const alerts = await screen.findAllByRole("alert");
    expect(alerts[0]?.textContent).toContain("the node does not answer");
    expect(alerts[0]?.textContent).toContain("Shown is what was told");
    expect(screen.getByText(words)).toBeDefined();
  },
);

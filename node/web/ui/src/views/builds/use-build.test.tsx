import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, renderHook } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Problem } from "@/api/problem";
import type { BuildEvent } from "@/views/builds/live-build";
import { useBuild } from "@/views/builds/use-build";

type Take = (events: BuildEvent[]) => void;
/** One connection that tells events: `end` and `fail` are how it may be over. */
interface Stream {
  take: Take;
  end: () => void;
  fail: (problem: unknown) => void;
}

const node = vi.hoisted(() => ({
  status: "running",
  problem: null as Error | null,
  asked: 0,
  streams: [] as Stream[],
}));

vi.mock("@/api/client", () => ({
  query: {
    useQuery: (_: string, path: string, __: unknown, options: object) =>
      useQuery({ queryKey: ["get", path], queryFn: () => told(path), ...options }),
  },
}));
vi.mock("@/views/builds/event-stream", () => ({
  readEvents: (_: string, signal: AbortSignal, take: Take) =>
    new Promise<void>((end, fail) => {
      signal.addEventListener("abort", () => fail(signal.reason));
      node.streams.push({ take, end, fail });
    }),
}));

async function told(path: string) {
  if (path.endsWith("/graph")) return { tasks: [], complete: true };
  node.asked += 1;
  if (node.problem !== null) throw node.problem;
  return { build_id: "b1", status: node.status, packages: [], request: {} };
}

const AWAY = new Problem("the node does not answer", "UNREACHABLE", 0);
const STARTED = { type: "build_started", build_id: "b1", packages: [] } as unknown as BuildEvent;
const FINISHED = {
  type: "build_finished",
  report: { status: "succeeded", duration_ms: 5, packages: [] },
} as unknown as BuildEvent;

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(node, { status: "running", problem: null, asked: 0, streams: [] });
});
afterEach(() => vi.useRealTimers());

async function passing(ms: number) {
  await act(() => vi.advanceTimersByTimeAsync(ms));
}

async function shown() {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  const { result } = renderHook(() => useBuild("b1"), { wrapper });
  await passing(100);
  return result;
}

function latest(): Stream {
  const last = node.streams.at(-1);
  if (last === undefined) throw new Error("nobody asked for events");
  return last;
}

it("ends with the record where events end without the build's end", async () => {
  const result = await shown();
  latest().take([STARTED]);
  node.status = "cancelled"; // the node has started again, and says so
  latest().end();
  await passing(100);
  expect(result.current.build).toMatchObject({ running: false, status: "cancelled" });
  await passing(60_000);
  expect(node.streams).toHaveLength(1);
});

it("goes on with events that broke off while the build goes on", async () => {
  const result = await shown();
  latest().take([STARTED]);
  latest().fail(new TypeError("network error"));
  await passing(1_600);
  expect(node.streams).toHaveLength(2);
  expect(result.current.build?.running).toBe(true);
  latest().take([STARTED, FINISHED]);
  node.status = "succeeded";
  latest().end();
  await passing(200);
  expect(result.current.build).toMatchObject({ running: false, status: "succeeded" });
  await passing(60_000);
  expect(node.streams).toHaveLength(2);
});

it("tries again, ever later, until a node that was away says how the build ended", async () => {
  const result = await shown();
  node.problem = AWAY;
  latest().fail(AWAY);
  for (const waits of [1_500, 3_000, 6_000, 10_000, 10_000]) {
    const before = node.streams.length;
    await passing(waits - 100);
    expect(node.streams).toHaveLength(before);
    await passing(200);
    expect(node.streams).toHaveLength(before + 1);
    latest().fail(AWAY);
  }
  expect(result.current.build?.running).toBe(true);
  node.problem = null;
  node.status = "failed";
  await passing(10_000);
  latest().take([FINISHED]);
  latest().end();
  await passing(200);
  expect(result.current.build).toMatchObject({ running: false, status: "failed" });
});

it("asks for the record where nobody knows the build's events any more", async () => {
  const result = await shown();
  node.status = "failed";
  latest().fail(new Problem("no build runs here", "NOT_FOUND", 404));
  await passing(100);
  expect(result.current.build).toMatchObject({ running: false, status: "failed" });
});

it("asks for the record until it says what the last event told", async () => {
  const result = await shown();
  node.problem = AWAY;
  latest().take([FINISHED]);
  latest().end();
  await passing(200);
  expect(result.current.build).toMatchObject({ running: false, status: "succeeded" });
  node.problem = null;
  node.status = "succeeded";
  await passing(2_000);
  expect(result.current.problem).toBeNull();
  expect(result.current.build?.told?.status).toBe("succeeded");
  const asked = node.asked;
  await passing(60_000);
  expect(node.asked).toBe(asked);
  expect(node.streams).toHaveLength(1);
});

it("follows a build without a record, and does not ask all the time", async () => {
  node.problem = new Problem("its node can't be asked", "BUILD_ELSEWHERE", 503);
  const result = await shown();
  expect(node.streams).toHaveLength(1);
  latest().take([STARTED]);
  latest().end();
  await passing(1_000);
  expect(node.streams).toHaveLength(1);
  await passing(1_000);
  expect(node.streams).toHaveLength(2);
  latest().take([STARTED, FINISHED]);
  latest().end();
  await passing(60_000);
  expect(node.streams).toHaveLength(2);
  expect(result.current.build?.status).toBe("succeeded");
});

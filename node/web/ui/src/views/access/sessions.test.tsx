import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, render } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Sessions } from "@/views/access/sessions";

const asked = vi.hoisted(() => ({ times: 0, mayEnd: false }));
vi.mock("@/api/session", () => ({
  useMay: () => asked.mayEnd,
  useSession: () => ({ data: { id: "s1" } }),
}));
vi.mock("@/api/client", () => ({
  query: {
    useQuery: (_: string, path: string, __: unknown, options: object) =>
      useQuery({ queryKey: ["get", path], queryFn: told, ...options }),
  },
}));
vi.mock("@/live/use-live", () => ({ useAsOf: () => Date.now() }));
vi.mock("@/live/use-refetch", () => ({ useRefetchOn: () => {} }));

async function told() {
  asked.times += 1;
  return { sessions: [], silent: [], left_out: 0, next: null };
}

beforeEach(() => {
  vi.useFakeTimers();
  asked.times = 0;
});
afterEach(() => vi.useRealTimers());

it.each([
  ["who is told of each change", true, 1],
  ["who hears of nobody", false, 3],
])("is asked for again by %s: %s", async (_, mayEnd, times) => {
  asked.mayEnd = mayEnd;
  render(
    <QueryClientProvider client={new QueryClient()}>
      <Sessions />
    </QueryClientProvider>,
  );
  await act(() => vi.advanceTimersByTimeAsync(65_000));
  expect(asked.times).toBe(times);
});

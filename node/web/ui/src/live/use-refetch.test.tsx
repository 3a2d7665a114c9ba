import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, render } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Feed } from "@/live/feed";
import type { LiveEvent } from "@/live/items";
import { useRefetchOnPool } from "@/live/use-refetch";
import { FeedContext } from "@/live/use-silence";

const KEY = ["get", "/api/pool/health"];
let asked: number;
let hear: (id: string) => void;
let tell: (news: { gaps?: number; paused?: boolean }) => void;
let client: QueryClient;
let close: () => void;

function Shown() {
  useQuery({ queryKey: KEY, queryFn: () => ++asked });
  useRefetchOnPool(KEY, "health", "ledger");
  return null;
}

beforeEach(() => {
  vi.useFakeTimers();
  asked = 0;
  let state = { gaps: 0, paused: false };
  const woken = new Set<() => void>();
  const feed = {
    subscribe: (listener: () => void) => {
      woken.add(listener);
      return () => woken.delete(listener);
    },
    getState: () => state,
    listen: (_: string, listener: (event: LiveEvent) => void) => {
      hear = (id) => listener({ data: { id } } as unknown as LiveEvent);
      return () => {};
    },
  };
  tell = (news) => {
    state = { ...state, ...news };
    for (const listener of woken) listener();
  };
  client = new QueryClient();
  const shown = render(
    <QueryClientProvider client={client}>
      <FeedContext value={feed as unknown as Feed}>
        <Shown />
      </FeedContext>
    </QueryClientProvider>,
  );
  close = shown.unmount;
});

afterEach(() => vi.useRealTimers());

const pass = () => act(() => vi.advanceTimersByTimeAsync(5_000));

it("asks once for several events, and for none that do not count", async () => {
  await pass();
  expect(asked).toBe(1);
  hear("links");
  await pass();
  expect(asked).toBe(1);
  hear("health");
  hear("ledger");
  await pass();
  expect(asked).toBe(2);
});

it("asks after what could not be told", async () => {
  await pass();
  act(() => tell({ gaps: 1 }));
  await pass();
  expect(asked).toBe(2);
});

it("stands still while the page is paused, and asks when it goes on", async () => {
  await pass();
  hear("health");
  act(() => tell({ paused: true }));
  await pass();
  expect(asked).toBe(1);
  hear("health");
  await pass();
  expect(asked).toBe(1);
  act(() => tell({ paused: false }));
  await pass();
  expect(asked).toBe(2);
});

it("knows what became old just before the view was closed", async () => {
  await pass();
  hear("health");
  close();
  await pass();
  expect(asked).toBe(1);
  expect(client.getQueryState(KEY)?.isInvalidated).toBe(true);
});

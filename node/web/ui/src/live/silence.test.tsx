import { act, render, screen } from "@testing-library/react";
import type { ReactNode } from "react";
import { expect, it } from "vitest";
import { Loading } from "@/components/states";
import { Elsewhere } from "@/layout/elsewhere";
import type { Feed } from "@/live/feed";
import { FeedContext } from "@/live/use-silence";
import { Progress } from "@/views/builds/progress";

const NODES = new Map(
  [
    { id: "1", name: "here", this_node: true, status: "online", address: "http://192.0.2.1:80" },
    { id: "2", name: "east", this_node: false, status: "online", address: "http://192.0.2.2:80" },
    { id: "3", name: "west", this_node: false, status: "offline", address: "http://192.0.2.3:80" },
    { id: "4", name: "odd", this_node: false, status: "online", address: "javascript:alert(1)" },
  ].map((node) => [node.id, node]),
);

function shown(children: ReactNode) {
  let state = { status: "live", heardAt: Date.now() - 7_000, reason: null as string | null };
  const listeners = new Set<() => void>();
  const feed = {
    getState: () => state,
    items: () => NODES,
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const { container } = render(
    <FeedContext value={feed as unknown as Feed}>{children}</FeedContext>,
  );
  const become = (status: string, reason: string | null) =>
    act(() => {
      state = { ...state, status, reason };
      for (const each of listeners) each();
    });
  return { container, become };
}

it("tells why nothing comes instead of loading without end, until the node is heard again", () => {
  const { container, become } = shown(<Loading what="the ledger" />);
  expect(container.querySelectorAll(".skeleton")).toHaveLength(3);
  become("lost", "the connection broke");
  expect(container.textContent).toMatch(/the ledger.*7 s ago \(the connection broke\)/);
  expect(container.querySelectorAll(".skeleton")).toHaveLength(0);
  become("live", null);
  expect(container.querySelectorAll(".skeleton")).toHaveLength(3);
});

it("names other nodes that have a page once its own can't be heard", () => {
  const { container, become } = shown(<Elsewhere />);
  expect(container.textContent).toBe("");
  become("lost", "the connection broke");
  expect(screen.getAllByRole("link").map((link) => link.getAttribute("href"))).toEqual([
    "http://192.0.2.2:80",
  ]);
});

it("says of no task that it runs where nobody knows", () => {
  const { container, become } = shown(<Progress done={1} failed={0} running={1} total={3} />);
  expect(container.textContent).toContain("1 running");
  become("lost", "the connection broke");
  expect(container.textContent).toContain("1 ran");
  expect(container.querySelectorAll(".meter-fill.running")).toHaveLength(0);
});

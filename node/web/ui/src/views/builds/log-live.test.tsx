import { act, render, screen } from "@testing-library/react";
import { type ReactNode, useSyncExternalStore } from "react";
import { beforeEach, expect, it, vi } from "vitest";
import type { LogText } from "@/components/log-viewer/log-text";
import { Feed } from "@/live/feed";
import BuildLog from "@/views/builds/log";

const live = vi.hoisted(() => ({ feed: null as unknown }));
vi.mock("@/live/use-live", () => ({ outputFeed: () => live.feed }));
vi.mock("@/components/log-viewer/use-fetched-log", () => ({ useFetchedLog: () => null }));
vi.mock("@/components/log-viewer/log-viewer", () => ({ LogViewer: Rows }));

/** All rows of a log: where nothing is laid out the viewer draws none. */
function Rows({ text, children }: { text: LogText; children: ReactNode }) {
  useSyncExternalStore(text.subscribe, text.getVersion);
  const rows = Array.from({ length: text.rows }, (_, row) => text.noteAt(row) ?? text.row(row));
  return (
    <>
      {children}
      <pre role="log">{rows.join("\n")}</pre>
    </>
  );
}

let hear: (message: object) => void;

beforeEach(() => {
  const socket = { readyState: WebSocket.OPEN, send: () => {}, close: () => {} };
  hear = (message) =>
    act(() =>
      (socket as unknown as WebSocket).onmessage?.({ data: JSON.stringify(message) } as never),
    );
  live.feed = new Feed(
    {
      open: () => socket as unknown as WebSocket,
      ticket: async () => "ticket",
      now: Date.now,
      soon: (run) => run(),
      after: () => () => {},
      changed: () => () => {},
    },
    ["logs"],
    "b",
  );
});

async function shown(task: string) {
  history.replaceState(null, "", `/ui/builds/b?tab=log&task=${encodeURIComponent(task)}`);
  render(<BuildLog id="b" running={true} tasks={[]} />);
  await act(async () => {});
  return () => plain(screen.getByRole("log").textContent);
}

function plain(text: string): string[] {
  return text.replace(/\[ESC\]\[[\d;]*m/g, "").split("\n");
}

const OF = { build_id: "b", name: "api", task: "build" };

function soFar(text: string, line: number, gap = false) {
  const logs = { x: { id: "x", ...OF, text, line } };
  hear({ type: "snapshot", cursor: "a-1", channels: ["logs"], gap, state: { logs } });
}

function printed(text: string, line: number) {
  const event = { cursor: "a-2", channel: "logs", type: "build_output", at: 1 };
  hear({ type: "events", events: [{ ...event, data: { ...OF, text, line } }] });
}

it("goes on where the connection broke, in the middle of a line, and says of nothing that it is missing", async () => {
  const lines = await shown("api#build");
  soFar("one\n", 1);
  printed("two beg", 2);
  soFar("one\ntwo begins\nthree\n", 1, true);
  expect(lines()).toEqual(["one", "two begins", "three"]);
});

it("tells nothing twice of what is told of all tasks, and what may be missing there", async () => {
  const lines = await shown("all");
  soFar("one\n", 1);
  printed("two beg", 2);
  soFar("one\ntwo begins\n", 1, true);
  expect(lines()).toEqual([
    "api#build │ one",
    "api#build │ two beg",
    expect.stringContaining("The connection was lost"),
    "api#build │ ins",
  ]);
});

it("says where output of a task is missing", async () => {
  const lines = await shown("api#build");
  soFar("one\n", 1);
  soFar("ninety\n", 90, true);
  expect(lines()).toEqual(["one", expect.stringContaining("missing here"), "ninety"]);
});

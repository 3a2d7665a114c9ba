import { beforeEach, describe, expect, it, vi } from "vitest";
import { Problem } from "@/api/problem";
import { Feed, type Surroundings } from "@/live/feed";

class Socket {
  readyState: number = WebSocket.OPEN;
  sent: Record<string, unknown>[] = [];
  onopen: () => void = () => {};
  onmessage: (message: { data: string }) => void = () => {};
  onclose: (event: { code: number; reason: string }) => void = () => {};
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.onclose({ code: 1000, reason: "" });
  }
  hear(message: unknown) {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

let sockets: Socket[];
let timers: { ms: number; run: () => void }[];
let feed: Feed;
let surroundings: Surroundings;

async function connected(): Promise<Socket> {
  await Promise.resolve();
  await Promise.resolve();
  const socket = sockets.at(-1);
  if (socket === undefined) throw new Error("nothing was opened");
  socket.onopen();
  return socket;
}

beforeEach(() => {
  sockets = [];
  timers = [];
  surroundings = {
    open: () => {
      const socket = new Socket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    ticket: async () => "ticket",
    now: () => 5_000,
    soon: (run) => run(),
    after: (ms, run) => {
      const timer = { ms, run };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
    changed: () => () => {},
  };
  feed = new Feed(surroundings);
  feed.start();
});

const CHANNELS = ["builds", "nodes", "queue", "resources"];
const snapshot = {
  type: "snapshot",
  cursor: "a-1",
  channels: CHANNELS,
  state: { builds: { b: { id: "b", status: "running", done: 1 } } },
};

function change(cursor: string, data: object) {
  return {
    type: "events",
    events: [{ cursor, channel: "builds", type: "build_progress", at: 1, data }],
  };
}

describe("Feed", () => {
  it("subscribes, and shows the snapshot and what changes", async () => {
    const socket = await connected();
    expect(socket.sent).toEqual([{ type: "subscribe", channels: CHANNELS }]);
    socket.hear(snapshot);
    expect(feed.getState()).toMatchObject({ status: "live", heardAt: 5_000 });
    const before = feed.items("builds");
    socket.hear(change("a-2", { id: "b", done: 2 }));
    expect(feed.items("builds").get("b")).toEqual({ id: "b", status: "running", done: 2 });
    expect(before.get("b")).toMatchObject({ done: 1 });
    socket.hear(change("a-3", { id: "b", gone: true }));
    expect(feed.items("builds").size).toBe(0);
  });

  it("knows when an item was told as it is", async () => {
    const socket = await connected();
    const now = vi.spyOn(surroundings, "now").mockReturnValue(6_000);
    socket.hear(snapshot);
    const before = feed.items("builds").get("b") as object;
    now.mockReturnValue(9_000);
    socket.hear(change("a-2", { id: "b", done: 2 }));
    expect(feed.toldAt(before)).toBe(6_000);
    expect(feed.toldAt(feed.items("builds").get("b") as object)).toBe(9_000);
  });

  it("keeps the map of a channel in which nothing happened", async () => {
    const socket = await connected();
    socket.hear(snapshot);
    const nodes = feed.items("nodes");
    socket.hear(change("a-2", { id: "b", done: 2 }));
    expect(feed.items("nodes")).toBe(nodes);
  });

  it("freezes what is shown while it is paused, and catches up", async () => {
    const socket = await connected();
    socket.hear(snapshot);
    feed.pause();
    socket.hear(change("a-2", { id: "b", done: 7 }));
    expect(feed.items("builds").get("b")).toMatchObject({ done: 1 });
    expect(feed.getState()).toMatchObject({ paused: true, waiting: 1 });
    feed.resume();
    expect(feed.items("builds").get("b")).toMatchObject({ done: 7 });
    expect(feed.getState()).toMatchObject({ paused: false, waiting: 0 });
  });

  it("connects again from the last cursor, each time later", async () => {
    const socket = await connected();
    socket.hear(snapshot);
    socket.hear(change("a-2", { id: "b", done: 2 }));
    socket.onclose({ code: 1013, reason: "too slow" });
    expect(feed.getState()).toMatchObject({ status: "lost", reason: "too slow" });
    expect(timers.map((timer) => timer.ms)).toEqual([250]);
    timers[0]?.run();
    const again = await connected();
    expect(again.sent).toEqual([{ type: "subscribe", channels: CHANNELS, cursor: "a-2" }]);
    again.onclose({ code: 1006, reason: "" });
    expect(timers.map((timer) => timer.ms)).toContain(500);
  });

  it("is lost where nothing is heard after the network changed, and tries at once when it is back", async () => {
    const socket = await connected();
    socket.hear(snapshot);
    feed.check();
    expect(socket.sent.at(-1)).toEqual({ type: "ping" });
    socket.hear({ type: "pong", cursor: "a-1" });
    expect(timers.map((timer) => timer.ms)).toEqual([40_000]);
    feed.check();
    expect(timers.map((timer) => timer.ms)).toEqual([3_000]);
    timers[0]?.run();
    expect(feed.getState()).toMatchObject({ status: "lost" });
    feed.check();
    const again = await connected();
    expect(again).not.toBe(socket);
    again.hear({ type: "resumed", cursor: "a-1" });
    expect(feed.getState()).toMatchObject({ status: "live", reason: null });
    expect(sockets).toHaveLength(2);
  });

  it("ends where its credential does not count any more", async () => {
    const socket = await connected();
    socket.hear(snapshot);
    socket.onclose({ code: 1008, reason: "the key was revoked" });
    expect(feed.getState()).toMatchObject({ status: "ended", reason: "the key was revoked" });
  });

  it("ends where who is logged in may not be told, with what they lack", async () => {
    const refusal = new Problem("the key is for single workspaces", "NOT_ALLOWED", 403);
    surroundings.ticket = async () => {
      throw refusal;
    };
    const refused = new Feed(surroundings);
    refused.start();
    const tried = timers.length;
    for (let step = 0; step < 4; step += 1) await Promise.resolve();
    expect(refused.getState()).toMatchObject({ status: "ended", refusal });
    refused.check();
    expect(timers).toHaveLength(tried);
  });

  it("ends where nobody is logged in any more, and tries on where the node is away", async () => {
    const socket = await connected();
    socket.hear(snapshot);
    surroundings.ticket = async () => {
      throw new Problem("the node does not answer", "UNREACHABLE", 0);
    };
    socket.onclose({ code: 1006, reason: "" });
    timers[0]?.run();
    await connected();
    expect(feed.getState().status).toBe("lost");
    surroundings.ticket = async () => {
      throw new Problem("who are you?", "UNAUTHENTICATED", 401);
    };
    const tried = timers.length;
    timers.at(-1)?.run();
    await connected();
    expect(feed.getState()).toMatchObject({ status: "ended", reason: "who are you?" });
    expect(timers).toHaveLength(tried);
  });

  it("subscribes to a channel while somebody listens to it", async () => {
    const socket = await connected();
    socket.hear(snapshot);
    const heard: string[] = [];
    const end = feed.listen("ledger", (event) => heard.push(event.cursor));
    expect(socket.sent.at(-1)).toEqual({
      type: "subscribe",
      channels: ["builds", "ledger", "nodes", "queue", "resources"],
    });
    socket.hear({
      type: "events",
      events: [
        { cursor: "a-9", channel: "ledger", type: "ledger_entry", at: 1, data: { id: "e" } },
      ],
    });
    end();
    expect(heard).toEqual(["a-9"]);
    expect(feed.items("ledger").size).toBe(0);
    expect(socket.sent.at(-1)).toEqual({ type: "subscribe", channels: CHANNELS });
  });

  it("asks for nothing anew where another listens to what one left", async () => {
    const socket = await connected();
    const later: (() => void)[] = [];
    vi.spyOn(surroundings, "soon").mockImplementation((run) => later.push(run));
    const end = feed.listen("ledger", () => {});
    const sent = socket.sent.length;
    end();
    feed.listen("ledger", () => {});
    for (const run of later) run();
    expect(socket.sent).toHaveLength(sent);
  });

  it("hears of one build alone, where it is told to", async () => {
    feed.stop();
    new Feed(surroundings, ["logs"], "60df").start();
    const socket = await connected();
    expect(socket.sent).toEqual([{ type: "subscribe", channels: ["logs"], build: "60df" }]);
  });

  it("counts what could not be told", async () => {
    const socket = await connected();
    socket.hear({ ...snapshot, gap: false });
    expect(feed.getState().gaps).toBe(0);
    socket.hear({ ...snapshot, gap: true });
    expect(feed.getState().gaps).toBe(1);
  });

  it("closes a connection on which nothing comes any more", async () => {
    const socket = await connected();
    socket.hear(snapshot);
    expect(timers.map((timer) => timer.ms)).toEqual([40_000]);
    timers[0]?.run();
    expect(feed.getState().status).toBe("lost");
  });

  it("tells who listens to output what running tasks printed before", async () => {
    const told: unknown[] = [];
    const socket = await connected();
    feed.listen("logs", (event) => told.push([event.type, event.data.text]));
    const item = { id: "b api#build", build_id: "b", name: "api", task: "build", text: "one\n" };
    socket.hear({ ...snapshot, channels: [...CHANNELS, "logs"], state: { logs: { x: item } } });
    expect(told).toEqual([["output_so_far", "one\n"]]);
  });
});

import { describe, expect, it } from "vitest";
import type { Schema } from "@/api/client";
import type { Item, Items } from "@/live/items";
import { aPoolNode } from "@/testing/nodes";
import { alerts } from "@/views/overview/alerts";

const NOTHING = {
  nodes: [],
  health: undefined,
  healthAt: 190_000,
  queue: new Map(),
  letters: [],
  now: 200_000,
};

function queue(...items: Item[]): Items {
  return new Map(items.map((item) => [item.id, item]));
}

function health(of: Partial<Schema["PoolHealth"]>): Schema["PoolHealth"] {
  return { problems: [], refused: [], sealing: {}, ...of } as unknown as Schema["PoolHealth"];
}

describe("alerts", () => {
  it("says nothing where all is well", () => {
    expect(alerts({ ...NOTHING, nodes: [aPoolNode()], health: health({}) })).toEqual([]);
  });

  it("names who is missing once, the worst first", () => {
    const nodes = [
      aPoolNode({ id: "a", name: "anna", status: "suspect" }),
      aPoolNode({ id: "b", name: "berta", status: "offline" }),
      aPoolNode({ id: "c", name: "carla", status: "offline" }),
    ];
    const coordinator = { node_id: "a", name: "anna", term: 2, quorum: true };
    const told = health({ problems: ["3 of 4 nodes reachable, not carla"], coordinator });
    expect(alerts({ ...NOTHING, nodes, health: told }).map((one) => [one.tone, one.words])).toEqual(
      [
        ["bad", "berta is offline: what it ran runs elsewhere"],
        ["warn", "3 of 4 nodes reachable, not carla"],
        ["warn", "anna does not answer, and may be gone"],
      ],
    );
  });

  it("tells of a missing node whose name is a part of other words", () => {
    const nodes = [aPoolNode({ id: "a", name: "node", status: "offline" })];
    const told = health({ problems: ["3 of 4 nodes reachable, not carla"] });
    expect(alerts({ ...NOTHING, nodes, health: told }).map((one) => one.words)).toContain(
      "node is offline: what it ran runs elsewhere",
    );
  });

  it("says since when somebody is missing, and what to do, once", () => {
    const nodes = [
      aPoolNode({ id: "a", name: "node1", status: "offline" }),
      aPoolNode({ id: "b", name: "node10", status: "offline" }),
    ];
    const told = health({
      problems: ["1 of 2 nodes reachable since 03:58:09 UTC, not node10"],
      nodes: [
        { id: "a", status_for_s: 60 },
        { id: "b", status_for_s: 30 },
      ] as Schema["PoolHealth"]["nodes"],
    });
    const found = alerts({ ...NOTHING, nodes, health: told });
    expect(found.map(({ words, when }) => [words, when?.at])).toEqual([
      ["1 of 2 nodes reachable, not node10", 160_000],
      ["node1 is offline: what it ran runs elsewhere", 130_000],
    ]);
    for (const one of found) expect(one.next).toContain("buildnet node start");
  });

  it("says nothing of the address of a node that is told of as gone, or is back", () => {
    const refused = [
      {
        ...{ reason: "no answer at an address", count: 3, last_age_s: 20, harmless: false },
        ...{ last_peer: null, last_name: null },
        last_detail: "http://192.0.2.2:80: 192.0.2.2:80: Connection refused",
      },
    ];
    const told = health({
      refused: refused as never,
      nodes: [{ id: "b", status_for_s: 10 }] as Schema["PoolHealth"]["nodes"],
    });
    const words = (status: "online" | "offline", health: Schema["PoolHealth"]) =>
      alerts({ ...NOTHING, nodes: [aPoolNode({ id: "b", name: "berta", status })], health }).map(
        (one) => one.words,
      );
    expect(words("offline", told)).toEqual(["berta is offline: what it ran runs elsewhere"]);
    expect(words("online", told)).toEqual([]);
    const longThere = [{ id: "b", status_for_s: 90 }] as Schema["PoolHealth"]["nodes"];
    expect(words("online", { ...told, nodes: longThere })).toEqual([
      "A node can't be reached at an address that it told (no answer at an address, 3 times, lately http://192.0.2.2:80: 192.0.2.2:80: Connection refused)",
    ]);
  });

  it("forgets what was refused long ago, though nothing was asked for since", () => {
    const refused = [{ reason: "flood", count: 1, last_age_s: 590, harmless: false }] as never;
    const found = (now: number) => alerts({ ...NOTHING, now, health: health({ refused }) });
    expect(found(190_000)).toHaveLength(1);
    expect(found(200_001)).toHaveLength(0);
  });

  it("says where to look where it knows nothing better", () => {
    const told = health({ problems: ["the moon is full"] });
    expect(alerts({ ...NOTHING, health: told })).toMatchObject([
      { words: "the moon is full", command: "buildnet node logs --level warning" },
    ]);
    expect(alerts({ ...NOTHING, health: told })[0]?.next).toContain("log");
  });

  it("tells each part of why nothing is sealed once", () => {
    const text =
      "sealing stands still since 03:58:09 UTC: too few voters; 2 entries wait, kept and provisional; start berta";
    const sealing = {
      ...{ works: false, text, problem: "too few voters", hint: "start berta", unsealed: 2 },
      since: "1970-01-01T00:00:30Z",
    };
    const told = health({ problems: [text], sealing: sealing as Schema["Sealing"] });
    expect(alerts({ ...NOTHING, health: told })).toMatchObject([
      {
        words: "The ledger is not sealed: too few voters; 2 entries wait, kept and provisional",
        when: { words: "began", at: 30_000 },
        next: "start berta",
        command: "buildnet ledger status",
      },
    ]);
  });

  it("tells of full disks by the newest measurement, not of memory that looks like one", () => {
    const node = aPoolNode();
    const utilization = {
      measured_at: "2026-11-22T01:00:00Z",
      disks: [{ path: "/", used_percent: 98, available_bytes: 10 * 1024 ** 3 }],
    };
    const [found, ...rest] = alerts({ ...NOTHING, nodes: [{ ...node, utilization }] });
    expect(found).toMatchObject({ tone: "bad", words: "/ of anna is 98 % full, 10 GiB free" });
    expect(rest).toEqual([]);
    const ram = structuredClone(node);
    for (const volume of ram.resources?.storage ?? []) volume.storage_class = "ramdisk";
    expect(alerts({ ...NOTHING, nodes: [{ ...ram, utilization }] })).toEqual([]);
  });

  it("calls a queue stuck only while nothing runs and somebody waits for long", () => {
    const waits = { id: "b1", state: "waiting", asked_at: 110, words: "waits for a node with go" };
    expect(alerts({ ...NOTHING, queue: queue(waits) })).toMatchObject([
      {
        tone: "bad",
        words:
          "The queue is stuck: nothing runs, 1 build waits, the first for 1 min 30 s: waits for a node with go",
      },
    ]);
    const runs = { id: "b2", state: "running", asked_at: 1 };
    expect(alerts({ ...NOTHING, queue: queue(waits, runs) })).toEqual([]);
    expect(alerts({ ...NOTHING, queue: queue({ ...waits, asked_at: 180 }) })).toEqual([]);
  });

  it("tells of a paused queue, of commands that were given up, and of refusals that mean something", () => {
    const letter = { package: "api", task: "build", workspace: "shop", error: { message: "no" } };
    const refused = [
      {
        reason: "refused: no member",
        count: 6,
        last_name: "berta",
        last_age_s: 5,
        harmless: false,
      },
      { reason: "flood", count: 1, last_name: null, last_age_s: 3_000, harmless: false },
      { reason: "link not made", count: 2, last_name: null, harmless: true },
    ];
    const found = alerts({
      ...NOTHING,
      queue: queue({ id: "queue", paused: true, paused_by: "ann" }),
      letters: [letter] as unknown as Schema["Letter"][],
      health: health({ refused } as never),
    });
    expect(found.map((one) => one.words)).toEqual([
      "The queue is paused by ann: 0 builds in it",
      "1 command was given up, the latest api#build of shop: no",
      "Somebody knocks who does not belong to the cluster (refused: no member, 6 times, lately berta)",
    ]);
  });
});

import { describe, expect, it } from "vitest";
import type { Schema } from "@/api/client";
import { type Names, workspacesOf } from "@/pool/entry-words";
import { newest, ofHealth, ofEntry as toLine } from "@/views/overview/recent";

const NAMES: Names = {
  workspace: (build) => ({ "6645cfecf32f": "shop" })[build],
  node: (id) => ({ "90f7e41bb2c34fd0": "berta" })[id],
};

function ofEntry(entry: Schema["LedgerEntry"]) {
  return toLine(entry, NAMES);
}

function entry(type: string, text = "what happened"): Schema["LedgerEntry"] {
  const actor = { id: "a", name: "anna", kind: "node" };
  const time = "2026-11-22T01:00:00Z";
  const entity = type.startsWith("build.") ? "build:6645cfecf32f" : "node:a";
  return { id: "e1", type, time, text, actor, entity } as unknown as Schema["LedgerEntry"];
}

type Node = Parameters<typeof ofHealth>[0]["nodes"][number];

/** What the node carl, up for an hour, tells of another one. */
function told(other: Partial<Node>, coordinator: string | null = null, for_s = 7) {
  const carl = { id: "c", name: "carl", status: "online", status_for_s: 3_600, this_node: true };
  const anna = { id: "a", name: "anna", status: "online", status_for_s: 9, this_node: false };
  const office = coordinator === null ? null : { node_id: coordinator[0], name: coordinator };
  const health = { nodes: [carl, { ...anna, ...other }], quorum: { for_s }, coordinator: office };
  return ofHealth(health as unknown as Parameters<typeof ofHealth>[0], 10_000);
}

describe("what happened lately", () => {
  it("takes the words of the ledger, and leaves out what only machines need", () => {
    expect(ofEntry(entry("build.failed"))).toMatchObject({ tone: "bad", words: "what happened" });
    expect(ofEntry(entry("member.admitted"))?.tone).toBe("good");
    expect(ofEntry(entry("resources.released"))).toBeNull();
    expect(ofEntry(entry("chain.opened"))).toBeNull();
  });

  it("names the node that tells something of itself", () => {
    expect(ofEntry(entry("node.started", "The node started"))?.words).toBe("anna started");
    expect(ofEntry(entry("node.left", "The node anna left"))?.words).toBe("The node anna left");
  });

  it("tells of builds as the rest of the page does, and leads there", () => {
    const done = ofEntry(entry("build.completed", "build:6645cfecf32f completed in 83200 ms"));
    expect(done).toMatchObject({
      words: "The build of shop completed in 1 min 23 s",
      href: "/ui/builds/6645cfecf32f",
    });
    const other = toLine(
      entry("build.cancelled", "ann cancelled build:0123456789ab: by ann"),
      NAMES,
    );
    expect(other?.words).toBe("ann cancelled build 0123456789ab: by ann");
  });

  it("knows what builds are of by the entries that tell their start", () => {
    const started = { ...entry("build.started"), data: { workspace: "shop" } };
    const found = workspacesOf([entry("node.started"), entry("build.completed"), started]);
    expect([...found]).toEqual([["6645cfecf32f", "shop"]]);
  });

  it("tells once that a node joined, and calls nodes by their names", () => {
    const text =
      "A node came in: berta (90f7e41bb2c34fd0) joined as worker, by the invitation 81554bc18db477e7";
    expect(ofEntry(entry("member.admitted", text))?.words).toBe("berta joined as worker");
    expect(ofEntry(entry("node.joined", "The node berta joined"))).toBeNull();
    const handed = "anna handed build:6645cfecf32f of 90f7e41bb2c34fd0 to 591a6103ee771cc4";
    expect(ofEntry(entry("build.handed_over", handed))?.words).toBe(
      "anna handed the build of shop of berta to 591a6103ee771cc4",
    );
  });

  it("tells whose setting was changed, and what was done by it", () => {
    const setting = (name: string, now: unknown) =>
      ofEntry({
        ...entry("system.setting", `ann changed the setting ${name}`),
        actor: { id: "ann", name: "ann", kind: "user" } as Schema["EntryActor"],
        entity: "node:90f7e41bb2c34fd0",
        data: { name, old: null, new: now },
      })?.words;
    expect(setting("draining", true)).toBe("ann drained berta");
    expect(setting("draining", false)).toBe("ann resumed berta");
    expect(setting("tags", ["gpu"])).toBe("ann changed the setting tags of berta");
  });

  it("tells that a node is gone or back, not that it works", () => {
    const words = (of: Partial<Node>) => told(of).map((line) => line.words);
    expect(told({ status: "offline" })).toEqual([
      { id: "offline a", at: 1_000, words: "anna is offline", tone: "bad", href: "/ui/nodes/a" },
    ]);
    expect(words({})).toEqual(["anna answers"]);
    expect(words({ status: "busy" })).toEqual(["anna answers"]);
    expect(words({ status: "left", status_for_s: 3_599 })).toEqual(["anna takes its leave"]);
    expect(words({ status: "suspect", status_for_s: null })).toEqual([]);
  });

  it("has another line for what a node becomes next: a line that is new is read out", () => {
    const [gone] = told({ status: "offline" });
    const [back] = told({ status: "online" });
    expect(gone?.id).not.toBe(back?.id);
    const [anna] = told({ status_for_s: null }, "anna");
    const [berta] = told({ status_for_s: null }, "berta");
    expect(anna?.id).not.toBe(berta?.id);
  });

  it("tells not that others answered when the node that is asked had just begun", () => {
    expect(told({ status_for_s: 3_590 })).toEqual([]);
    expect(told({ status_for_s: 3_500 })).toHaveLength(1);
  });

  it("tells who coordinates, and since when", () => {
    expect(told({ status_for_s: null }, "berta")).toEqual([
      {
        id: "coordinator b",
        at: 3_000,
        words: "berta coordinates now",
        tone: "busy",
        href: "/ui/nodes/b",
      },
    ]);
  });

  it("keeps each line once, the newest first", () => {
    const line = (id: string, at: number) => ({ id, at, words: id, tone: "calm" as const });
    const lines = newest(
      ["a1", "b2", "c3", "a1"].map((one) => line(one.slice(0, 1), Number(one.slice(1)))),
    );
    expect(lines.map((one) => one.id)).toEqual(["c", "b", "a"]);
    const many = Array.from({ length: 50 }, (_, place) => line(`${place}`, place));
    expect(newest(many)).toHaveLength(30);
  });
});

import { describe, expect, it } from "vitest";
import type { Schema } from "@/api/client";
import type { LiveEvent } from "@/live/items";
import { type Names, workspacesOf } from "@/pool/entry-words";
import { ofNodeEvent, ofEntry as toLine, withLines } from "@/views/overview/recent";

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

function news(data: Record<string, unknown>): LiveEvent {
  return {
    cursor: "c-1",
    channel: "nodes",
    type: "node_status",
    at: 10,
    data: { id: "a", ...data },
  };
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
    const anna = { name: "anna", status: "online", coordinator: false };
    expect(ofNodeEvent(news({ status: "offline" }), anna)).toMatchObject({
      words: "anna is offline",
      tone: "bad",
      at: 10_000,
    });
    expect(ofNodeEvent(news({ status: "busy" }), anna)).toBeNull();
    expect(ofNodeEvent(news({ status: "busy" }), { ...anna, status: "offline" })?.words).toBe(
      "anna answers",
    );
    expect(ofNodeEvent(news({ latency_ms: 3 }), anna)).toBeNull();
  });

  it("tells who coordinates now", () => {
    const before = { name: "berta", status: "online", coordinator: false };
    expect(ofNodeEvent(news({ coordinator: true }), before)?.words).toBe("berta coordinates now");
    expect(ofNodeEvent(news({ coordinator: true }), { ...before, coordinator: true })).toBeNull();
  });

  it("keeps each line once, the newest first", () => {
    const line = (id: string, at: number) => ({ id, at, words: id, tone: "calm" as const });
    const lines = withLines([line("a", 1), line("b", 2)], [line("c", 3), line("a", 1)]);
    expect(lines.map((one) => one.id)).toEqual(["c", "b", "a"]);
    const many = Array.from({ length: 50 }, (_, place) => line(`${place}`, place));
    expect(withLines([], many)).toHaveLength(30);
  });
});

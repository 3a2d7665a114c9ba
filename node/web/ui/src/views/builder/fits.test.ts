import { expect, test } from "vitest";
import { EMPTY } from "@/views/builder/draft";
import { added, type Offer, type ZoneName } from "@/views/builder/edits";
import { saidOf, standingOf, standingOfProgram, verdict } from "@/views/builder/fits";
import { node, POOL } from "@/views/builder/testing";

const DISK = { path: "/", mountPoint: "/", storageClass: "ssd", totalGb: 200 };
const says = (offer: Offer, zone: ZoneName, draft = EMPTY) => {
  const { takes, words } = verdict(offer, zone, draft, POOL);
  return `${takes ? "yes" : "no"}: ${words}`;
};
const cpu = (name: string): Offer => ({ kind: "cpu", node: `id-${name}` });

test("a zone says yes with what is free, or no and why", () => {
  expect(says(cpu("anna"), "cpu")).toBe("yes: 4 of 8 cores of anna are free");
  expect(says({ kind: "memory", node: "id-anna" }, "memory")).toBe(
    "yes: 8 GiB of 16 GiB of anna are free",
  );
  expect(says(cpu("anna"), "memory")).toBe("no: cores: that goes to CPU");
  expect(says({ kind: "tool", name: "git" }, "cpu")).toBe(
    "no: git: that goes to Tools and runtimes",
  );
  expect(says(cpu("cara"), "cpu")).toBe("no: cara is offline");
  expect(says(cpu("dora"), "cpu")).toBe("no: that node is not in the pool any more");
  expect(says({ kind: "tool", name: "ffmpeg" }, "programs")).toBe("yes: ffmpeg is on berta");
  expect(says({ kind: "tool", name: "bazel" }, "programs")).toMatch(/^no: bazel is on no node/);
});

test("who takes what is in use now says that it will wait", () => {
  const full = [
    node("anna", { freeCores: 0, freeMemoryGb: 0.2, volumes: [{ ...DISK, freeGb: 0.1 }] }),
  ];
  const spoken = (offer: Offer, zone: ZoneName, pool = full) =>
    saidOf(verdict(offer, zone, EMPTY, pool), zone);
  expect(spoken(cpu("anna"), "cpu")).toBe("Yes, but it will wait: 0 of 8 cores of anna are free");
  expect(spoken({ kind: "memory", node: "id-anna" }, "memory")).toMatch(
    /^Yes, but it will wait: 0.2 GiB/,
  );
  expect(spoken({ kind: "storage", node: "id-anna", path: "/" }, "storage")).toMatch(
    /^Yes, but too little is free: 0.1 GiB/,
  );
  expect(spoken(cpu("anna"), "cpu", POOL)).toMatch(/^Yes: 4 of 8/);
  expect(spoken(cpu("cara"), "cpu", POOL)).toBe("No: cara is offline");
  const untold = [node("anna", { freeCores: null })];
  expect(spoken(cpu("anna"), "cpu", untold)).toBe("Yes: unknown of 8 cores of anna are free");
});

test("nothing is taken twice", () => {
  const draft = [cpu("anna"), { kind: "tool", name: "git" } as Offer].reduce(
    (made, offer) => added(made, offer, POOL),
    EMPTY,
  );
  expect(says(cpu("anna"), "cpu", draft)).toBe(
    "no: chosen already: change the number of its cores",
  );
  expect(says({ kind: "tool", name: "git" }, "programs", draft)).toMatch(/^no: chosen already/);
  expect(says(cpu("berta"), "cpu", draft)).toMatch(/^yes/);
});

test("a configuration for one node takes nothing of others", () => {
  const alone = { ...EMPTY, execution: { local_only: true } };
  expect(says(cpu("berta"), "cpu", alone)).toMatch(/^no: this configuration is for the asked node/);
  expect(says(cpu("anna"), "cpu", alone)).toMatch(/^yes/);
});

test("a piece stands well, waits, or can't be had", () => {
  const of = (name: string, cores: number) => standingOf("cpu", name, cores, POOL);
  expect(of("anna", 4)).toEqual({ tone: "good", words: "4 of 8 cores free now" });
  expect(of("anna", 6).tone).toBe("warn");
  expect(of("anna", 9)).toEqual({ tone: "bad", words: "anna has 8 cores" });
  expect(of("local", 4).tone).toBe("good");
  expect(of("cara", 1)).toEqual({ tone: "bad", words: "cara is offline" });
  expect(of("dora", 1)).toEqual({ tone: "bad", words: "dora is no node of the pool" });
  expect(standingOf("storage", "anna", 101, POOL)).toEqual({
    tone: "bad",
    words: "anna has 100 GiB",
  });
  const strange = [node("eva", { cores: null, freeCores: null })];
  expect(standingOf("cpu", "eva", 1, strange).tone).toBe("warn");
});

test("a tool of a node that goes offline is nowhere", () => {
  const piece = { key: "k", kind: "tool", name: "ffmpeg", version: "" } as const;
  expect(standingOfProgram(piece, POOL)).toEqual({ tone: "good", words: "on berta (6.1)" });
  const gone = POOL.map((each) => (each.name === "berta" ? { ...each, away: "gone" } : each));
  expect(standingOfProgram(piece, gone).tone).toBe("bad");
});

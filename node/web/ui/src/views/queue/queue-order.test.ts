import { describe, expect, test } from "vitest";
import type { Item } from "@/live/items";
import {
  arranged,
  buildsOf,
  endInWords,
  headOf,
  matching,
  movedTo,
  placeAt,
  placeBehind,
  placeBeside,
  placesFor,
  type QueuedBuild,
  startInWords,
  stateInWords,
} from "@/views/queue/queue-order";

function build(id: string, place: number, more: Partial<QueuedBuild> = {}): QueuedBuild {
  return {
    id,
    workspace: "shop",
    actor: "ann",
    node: "anna",
    node_id: "aa",
    this_node: true,
    priority: "normal",
    place,
    state: "waiting",
    words: "waiting",
    paused: false,
    reason: null,
    moved: false,
    running: 0,
    hosts: 0,
    leases: 0,
    asked_at: place,
    waited_s: 1,
    starts_in_s: null,
    ends_in_s: null,
    toldAt: 1_000,
    ...more,
  };
}

const queue = [build("a", 1), build("b", 2), build("c", 3), build("d", 4)];
const everywhere = (builds: readonly QueuedBuild[]) =>
  new Map(builds.map((each) => [each.id, each.place]));
const all = everywhere(queue);
const ids = (builds: readonly QueuedBuild[]) => builds.map((each) => each.id).join("");

test("the queue as a whole is an item beside its builds", () => {
  const items = new Map<string, Item>([
    ["c", { ...build("c", 3) } as unknown as Item],
    ["queue", { id: "queue", complete: true, paused: false, paused_by: null, reason: null }],
    ["a", { ...build("a", 1) } as unknown as Item],
  ]);
  expect(ids(buildsOf(items, () => 7))).toBe("ac");
  expect(buildsOf(items, () => 7)[0]?.toldAt).toBe(7);
  expect(headOf(items)?.complete).toBe(true);
  expect(headOf(new Map())).toBeNull();
});

describe("where something was dropped", () => {
  test("is the place of what stood there, up and down", () => {
    expect(placeAt(queue, "d", 1, all)).toBe(2);
    expect(placeAt(queue, "a", 2, all)).toBe(3);
    expect(movedTo(queue, "a", 3, all)).toEqual(["b", "c", "a", "d"]);
    expect(movedTo(queue, "d", 2, all)).toEqual(["a", "d", "b", "c"]);
  });

  test("counts those that a filter hides", () => {
    const shown = [build("b", 2), build("e", 7)];
    expect(placeAt(shown, "e", 0, everywhere(shown))).toBe(2);
    expect(placeAt(shown, "b", 1, everywhere(shown))).toBe(7);
  });

  test("is nothing where nothing changes", () => {
    expect(placeAt(queue, "b", 1, all)).toBeNull();
    expect(placeAt(queue, "x", 1, all)).toBeNull();
    expect(placeAt(queue, "b", 9, all)).toBeNull();
  });

  test("behind another one depends on which side it stands", () => {
    expect(placeBehind("a", "c", all)).toBe(3);
    expect(placeBehind("d", "b", all)).toBe(3);
  });
});

test("the buttons up and down go by the places, past what a filter shows too", () => {
  const whole = [1, 2, 3, 4, 5].map((place) => build("abcde"[place - 1] ?? "", place));
  const places = everywhere(whole);
  const shown = [build("b", 2), build("e", 5)];
  expect(placeBeside(shown, 1, -1, places)).toBe(2);
  expect(placeBeside(shown, 0, -1, places)).toBe(1);
  expect(placeBeside(shown, 0, 1, places)).toBe(5);
  expect(placeBeside(shown, 1, 1, places)).toBeNull();
  expect(placeBeside(queue, 0, -1, all)).toBeNull();
});

describe("who may not change all", () => {
  const ben = (id: string, place: number) => build(id, place, { actor: "ben" });
  const both = [ben("1", 1), build("a", 2), ben("2", 3), build("b", 4), build("c", 5)];
  const isAnns = (each: QueuedBuild) => each.actor === "ann";
  const anns = placesFor(build("a", 2), both, isAnns, false);

  test("moves a build among their own, counted among those", () => {
    expect([...anns]).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
    expect(placeBeside(both, 3, -1, anns)).toBe(1);
    expect(placeBeside(both, 1, -1, anns)).toBeNull();
    expect(placeBeside(both, 1, 1, anns)).toBe(2);
    expect(placeBehind("c", "a", anns)).toBe(2);
  });

  test("drops it beside the next one of their own, and nowhere among those of others", () => {
    expect(placeAt(both, "c", 0, anns)).toBe(1);
    expect(placeAt(both, "c", 2, anns)).toBe(2);
    expect(placeAt(both, "a", 2, anns)).toBeNull();
    expect(placeAt(both, "a", 0, anns)).toBeNull();
  });

  test("leaves the builds of others where they are", () => {
    expect(movedTo(both, "c", 1, anns)).toEqual(["1", "c", "2", "a", "b"]);
    expect(movedTo(both, "a", 3, anns)).toEqual(["1", "b", "2", "c", "a"]);
  });

  test("and owns a node: counts all that it builds, moves among those of one person", () => {
    const places = placesFor(build("b", 4), both, (each) => each.id !== "1", false);
    expect([...places]).toEqual([
      ["a", 1],
      ["b", 3],
      ["c", 4],
    ]);
    expect(placeBeside(both, 3, -1, places)).toBe(1);
    expect(movedTo(both, "b", 1, places)).toEqual(["1", "b", "2", "a", "c"]);
    expect(movedTo(both, "a", 3, places)).toEqual(["1", "b", "2", "a", "c"]);
  });

  test("unlike an admin, who moves all among all", () => {
    expect([...placesFor(build("a", 2), both, () => true, true).values()]).toEqual([1, 2, 3, 4, 5]);
  });
});

describe("an order that somebody dragged", () => {
  test("has the places of where the builds stand then", () => {
    const rows = arranged(queue, ["d", "a", "b", "c"]);
    expect(ids(rows)).toBe("dabc");
    expect(rows.map((each) => each.place)).toEqual([1, 2, 3, 4]);
    expect(placeAt(rows, "c", 0, everywhere(rows))).toBe(1);
  });

  test("bears that builds end and come", () => {
    const later = [build("b", 1), build("d", 2), build("e", 3)];
    expect(ids(arranged(later, ["d", "a", "b"]))).toBe("dbe");
  });
});

test("filters go together", () => {
  const builds = [
    build("a1", 1, { state: "running", priority: "high" }),
    build("b2", 2, { workspace: "Site", node: "berta" }),
    build("c3", 3, { priority: "high", actor: "ben" }),
  ];
  const none = { text: "", state: "", priority: "", node: "" };
  expect(ids(matching(builds, none))).toBe("a1b2c3");
  expect(ids(matching(builds, { ...none, text: " site" }))).toBe("b2");
  expect(ids(matching(builds, { ...none, priority: "high", state: "waiting" }))).toBe("c3");
  expect(ids(matching(builds, { ...none, node: "berta", text: "ann" }))).toBe("b2");
});

test("a start that nobody knows is unknown", () => {
  const words = (more: Partial<QueuedBuild>) =>
    startInWords(build("a", 1, more), 1_000, (ms) => `${ms}`);
  expect(words({})).toBe("unknown");
  expect(words({ starts_in_s: 2 })).toBe("once a place is free");
  expect(words({ starts_in_s: 3 })).toBe("in about 3000");
  expect(words({ state: "paused", starts_in_s: 3 })).toBe("once it is resumed");
});

test("what is left is counted down from when it was told", () => {
  const one = build("a", 1, { starts_in_s: 30, ends_in_s: 31.5 });
  const at = (now: number) => [
    startInWords(one, now, (ms) => `${ms}`),
    endInWords(one, now, (ms) => `${ms}`),
  ];
  expect(at(900)).toEqual(["in about 30000", "in about 32000"]);
  expect(at(11_000)).toEqual(["in about 20000", "in about 22000"]);
  expect(at(31_000)).toEqual(["once a place is free", "in about 2000"]);
  expect(at(60_000)).toEqual(["once a place is free", "any moment"]);
  expect(endInWords(build("b", 1), 0, String)).toBe("unknown");
});

test("a state says what its badge does not", () => {
  const words = (more: Partial<QueuedBuild>) => stateInWords(build("a", 1, more));
  expect(words({ state: "running", words: "running on 3 hosts" })).toBe("on 3 hosts");
  expect(words({})).toBe("until a host has room");
  expect(words({ words: "waiting for another build" })).toBe("for another build");
  expect(words({ state: "paused", words: "paused", reason: "lunch" })).toBe("lunch");
  const ending = { state: "paused", words: "paused; a command ends on one host first" };
  expect(words({ ...ending, reason: "lunch" })).toBe(`${ending.words}: lunch`);
});

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
    expect(placeAt(queue, "d", 1)).toBe(2);
    expect(placeAt(queue, "a", 2)).toBe(3);
    expect(movedTo(queue, "a", 3)).toEqual(["b", "c", "a", "d"]);
    expect(movedTo(queue, "d", 2)).toEqual(["a", "d", "b", "c"]);
  });

  test("counts those that a filter hides", () => {
    const shown = [build("b", 2), build("e", 7)];
    expect(placeAt(shown, "e", 0)).toBe(2);
    expect(placeAt(shown, "b", 1)).toBe(7);
  });

  test("is nothing where nothing changes", () => {
    expect(placeAt(queue, "b", 1)).toBeNull();
    expect(placeAt(queue, "x", 1)).toBeNull();
    expect(placeAt(queue, "b", 9)).toBeNull();
  });

  test("behind another one depends on which side it stands", () => {
    expect(placeBehind(build("a", 1), build("c", 3))).toBe(3);
    expect(placeBehind(build("d", 4), build("b", 2))).toBe(3);
  });
});

test("the buttons up and down go by the places, past what a filter shows too", () => {
  const shown = [build("b", 2), build("e", 5)];
  expect(placeBeside(shown, 1, -1, 5)).toBe(2);
  expect(placeBeside(shown, 0, -1, 5)).toBe(1);
  expect(placeBeside(shown, 0, 1, 5)).toBe(5);
  expect(placeBeside(shown, 1, 1, 5)).toBeNull();
  expect(placeBeside(queue, 0, -1, 4)).toBeNull();
});

describe("an order that somebody dragged", () => {
  test("has the places of where the builds stand then", () => {
    const rows = arranged(queue, ["d", "a", "b", "c"]);
    expect(ids(rows)).toBe("dabc");
    expect(rows.map((each) => each.place)).toEqual([1, 2, 3, 4]);
    expect(placeAt(rows, "c", 0)).toBe(1);
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
  expect(words({ starts_in_s: 0 })).toBe("next");
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
  expect(at(31_000)).toEqual(["next", "in about 2000"]);
  expect(at(60_000)).toEqual(["next", "any moment"]);
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

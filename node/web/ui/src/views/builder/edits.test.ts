import { describe, expect, test } from "vitest";
import { EMPTY, toDocument } from "@/views/builder/draft";
import { added, amounted, type Offer, removed, totalled, zoneOf } from "@/views/builder/edits";
import { node, POOL } from "@/views/builder/testing";

const put = (offers: Offer[], nodes = POOL) =>
  offers.reduce((draft, offer) => added(draft, offer, nodes), EMPTY);
const cpu = (name: string): Offer => ({ kind: "cpu", node: `id-${name}` });

describe("a piece that is added", () => {
  test("takes what is free now", () => {
    const draft = put([cpu("anna"), { kind: "memory", node: "id-anna" }]);
    expect(toDocument(draft).resources).toEqual({
      cpu: { node_allocations: [{ node_id: "anna", cores: 4 }] },
      memory: { node_allocations: [{ node_id: "anna", gb: 4 }] },
    });
  });

  test("takes one core where none is free", () => {
    expect(put([cpu("berta")]).cpu.pieces[0]?.cores).toBe(1);
  });

  test("calls a node by its id where another one has its name", () => {
    const twins = [node("x"), { ...node("x"), id: "id-y" }];
    expect(put([{ kind: "cpu", node: "id-y" }], twins).cpu.pieces[0]?.node).toBe("id-y");
  });

  test("of storage is for what the node is not named for yet, until there is nothing left", () => {
    const offer: Offer = { kind: "storage", node: "id-anna", path: "/" };
    const draft = put([offer, offer, offer, offer]);
    expect(draft.volumes.map((piece) => piece.purpose)).toEqual(["output", "cache", "build"]);
    expect(draft.volumes[0]?.gb).toBe(10);
  });

  test("of storage takes half of what is left where that is little", () => {
    const volumes = [{ path: "/", mountPoint: "/", storageClass: "ssd", freeGb: 5.3, totalGb: 9 }];
    const draft = put([{ kind: "storage", node: "id-z", path: "/" }], [node("z", { volumes })]);
    expect(draft.volumes[0]?.gb).toBe(2.5);
  });

  test("may be a tool or a runtime, in one zone", () => {
    const draft = put([
      { kind: "tool", name: "git" },
      { kind: "runtime", name: "node" },
    ]);
    expect(toDocument(draft).resources).toEqual({
      tools: [{ name: "git" }],
      runtimes: [{ name: "node" }],
    });
    expect(zoneOf({ kind: "runtime", name: "node" })).toBe("programs");
    expect(zoneOf(cpu("anna"))).toBe("cpu");
  });

  test("of a node that is gone is none", () => {
    expect(put([cpu("nobody")])).toBe(EMPTY);
  });
});

describe("the number in all", () => {
  const two = put([cpu("anna"), cpu("berta")]);

  test("is not written while the pieces alone count", () => {
    expect(toDocument(amounted(two, "piece-1", 6)).resources?.cpu?.cores).toBeUndefined();
  });

  test("grows with the pieces", () => {
    expect(totalled(two, "cpu", 9).cpu.total).toBe(9);
    expect(amounted(totalled(two, "cpu", 9), "piece-1", 12).cpu.total).toBe(13);
    expect(totalled(totalled(two, "cpu", 9), "cpu", 0).cpu.total).toBe(0);
  });
});

test("cores that were named one by one are not, once their number is another", () => {
  const pieces = [{ key: "k", node: "anna", cores: 2, specific: [0, 1] }];
  const draft = { ...EMPTY, cpu: { ...EMPTY.cpu, pieces } };
  expect(amounted(draft, "k", 3).cpu.pieces[0]).toEqual({
    key: "k",
    node: "anna",
    cores: 3,
    specific: [],
  });
});

test("a piece that is removed leaves the others", () => {
  const draft = put([cpu("anna"), cpu("berta"), { kind: "tool", name: "git" }]);
  expect(removed(draft, "piece-1").cpu.pieces.map((piece) => piece.node)).toEqual(["berta"]);
  expect(removed(draft, "piece-3").programs).toEqual([]);
  expect(added(removed(draft, "piece-1"), cpu("anna"), POOL).cpu.pieces[1]?.key).toBe("piece-4");
});

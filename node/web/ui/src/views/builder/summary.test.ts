import { expect, test } from "vitest";
import { EMPTY, fromDocument } from "@/views/builder/draft";
import { added } from "@/views/builder/edits";
import { askedBesides, chosenNodes, linkOf, sharesOf } from "@/views/builder/summary";
import { node, POOL } from "@/views/builder/testing";

test("shares are of the nodes that can be given work", () => {
  const draft = added(
    added(EMPTY, { kind: "cpu", node: "id-anna" }, POOL),
    { kind: "storage", node: "id-berta", path: "/" },
    POOL,
  );
  expect(sharesOf(draft, POOL)).toEqual({
    cores: { chosen: 4, of: 16 },
    memoryGb: { chosen: null, of: 32 },
    diskGb: { chosen: 10, of: 200 },
  });
});

test("a node that is named whole counts with all it has, and a larger number in all counts", () => {
  const cpu = { cores: 0, priority: "normal" as const, node_allocations: [{ node_id: "local" }] };
  const document = { resources: { cpu } } as unknown as Parameters<typeof fromDocument>[0];
  expect(sharesOf(fromDocument(document), POOL).cores.chosen).toBe(8);
  const draft = fromDocument(document);
  const more = { ...draft, cpu: { ...draft.cpu, total: 12 } };
  expect(sharesOf(more, POOL).cores.chosen).toBe(12);
});

test("nodes that are named in any zone are chosen, each once", () => {
  const draft = [
    { kind: "cpu", node: "id-berta" } as const,
    { kind: "memory", node: "id-berta" } as const,
    { kind: "memory", node: "id-anna" } as const,
  ].reduce((made, offer) => added(made, offer, POOL), EMPTY);
  expect(chosenNodes(draft, POOL).map((node) => node.name)).toEqual(["anna", "berta"]);
});

test("a link is found from both of its ends", () => {
  const link = { from_node: "a", to_node: "b", latency_ms: 1, age_s: 1 };
  const links = [link] as unknown as Parameters<typeof linkOf>[0];
  expect(linkOf(links, "b", "a")).toBe(link);
  expect(linkOf(links, "a", "c")).toBeUndefined();
});

const shaped = (total: number, ...named: string[]) => {
  const pieces = named.map((name) => ({ key: name, node: name, cores: 2, specific: [] }));
  return { ...EMPTY, cpu: { ...EMPTY.cpu, total, pieces } };
};

test("the asked node takes part besides those that are named, and counts", () => {
  const draft = shaped(0, "berta");
  expect(askedBesides(draft, POOL)).toEqual({ node: POOL[0], cores: 4 });
  expect(sharesOf(draft, POOL).cores.chosen).toBe(6);
});

test("a number in all bounds the asked node, too", () => {
  expect(askedBesides(shaped(3, "berta"), POOL)?.cores).toBe(3);
  expect(sharesOf(shaped(3, "berta"), POOL).cores.chosen).toBe(3);
});

test.each([
  ["is named", shaped(0, "local", "berta"), POOL],
  ["is named by its name", shaped(0, "anna"), POOL],
  ["is one of all, where none is named", EMPTY, POOL],
  [
    "only watches",
    shaped(0, "berta"),
    [node("anna", { thisNode: true, away: "watches" }), node("berta")],
  ],
])("the asked node is not told besides where it %s", (_, draft, nodes) => {
  expect(askedBesides(draft, nodes)).toBeNull();
});

import { expect, test } from "vitest";
import { EMPTY, fromDocument } from "@/views/builder/draft";
import { added } from "@/views/builder/edits";
import { chosenNodes, linkOf, sharesOf } from "@/views/builder/summary";
import { POOL } from "@/views/builder/testing";

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

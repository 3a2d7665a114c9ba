import { expect, test } from "vitest";
import {
  type ConfigDocument,
  EMPTY,
  fromDocument,
  saySame,
  toDocument,
} from "@/views/builder/draft";

const WHOLE = {
  id: "dist-full",
  name: "Distributed",
  description: "All of it",
  resources: {
    cpu: {
      cores: 12,
      node_allocations: [
        { node_id: "a", cores: 4 },
        { node_id: "b", cores: 2, specific_cores: [0, 1] },
        { node_id: "c" },
      ],
      priority: "high",
    },
    memory: { gb: 32, node_allocations: [{ node_id: "a", gb: 16 }] },
    storage: {
      volumes: [
        { node_id: "c", purpose: "output", size_gb: 100 },
        { node_id: "c", path: "/x", purpose: "cache" },
      ],
      min_class: "nvme",
      min_free_gb: 20,
    },
    tools: [{ name: "imagemagick" }, { name: "ffmpeg", version: ">=4" }],
    runtimes: [{ name: "node", version: ">=20" }],
    labels: ["big"],
  },
  build: { keep_going: true },
  execution: { strategy: "smart", timeout: 1800 },
} as ConfigDocument;

test("what the API tells is said again, nothing more and nothing less", () => {
  expect(toDocument(fromDocument(WHOLE))).toEqual(WHOLE);
  expect(JSON.stringify(toDocument(fromDocument(WHOLE)))).toBe(JSON.stringify(WHOLE));
});

test("a configuration that says nothing stays empty", () => {
  expect(toDocument(fromDocument({ id: "x" }))).toEqual({ id: "x" });
  expect(toDocument(EMPTY)).toEqual({});
});

test("what the ledger tells of it is no part of it", () => {
  const view = { id: "x", version: 3, changed_by: "ann", warnings: [] } as ConfigDocument;
  expect(toDocument(fromDocument(view))).toEqual({ id: "x" });
});

test("each piece has a key of its own, and the next one will have another", () => {
  const draft = fromDocument(WHOLE);
  const keys = [draft.cpu.pieces, draft.memory.pieces, draft.volumes, draft.programs]
    .flat()
    .map((piece) => piece.key);
  expect(new Set(keys).size).toBe(9);
  expect(keys).not.toContain(`piece-${draft.next}`);
});

test("drafts that say the same are the same, whatever the keys", () => {
  const draft = fromDocument(WHOLE);
  const rekeyed = {
    ...draft,
    cpu: { ...draft.cpu, pieces: draft.cpu.pieces.map((one) => ({ ...one, key: `x${one.key}` })) },
  };
  expect(saySame(draft, rekeyed)).toBe(true);
  expect(saySame(draft, { ...draft, minFreeGb: 21 })).toBe(false);
});

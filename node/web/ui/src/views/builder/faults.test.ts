import { expect, test } from "vitest";
import { fromDocument } from "@/views/builder/draft";
import { isRefused, placed } from "@/views/builder/faults";

const DRAFT = fromDocument({
  resources: {
    cpu: { cores: 0, priority: "normal", node_allocations: [{ node_id: "a", cores: 1 }] },
    storage: { volumes: [{ node_id: "c", purpose: "output" }] },
    tools: [{ name: "git" }, { name: "ffmpeg" }],
    runtimes: [{ name: "node" }],
  },
} as unknown as Parameters<typeof fromDocument>[0]);
const NOTHING = { valid: true, problems: [], warnings: [], capacity: null, shortages: [] };
const at = (path: string, message: string, hint: string | null = null) => ({ path, message, hint });

test("each fault comes to the piece that it is about", () => {
  const found = placed(DRAFT, {
    ...NOTHING,
    problems: [at("resources.cpu.node_allocations[0].cores", "expected a number", "such as 4")],
    shortages: [at("resources.tools[1]", "nowhere"), at("resources.runtimes[0]", "too old")],
    warnings: ["resources.storage.volumes[0].path has no effect: c keeps results"],
  });
  const words = (key: string | undefined) => found.pieces.get(key ?? "")?.map((each) => each.words);
  expect(words(DRAFT.cpu.pieces[0]?.key)).toEqual(["expected a number (such as 4)"]);
  expect(words(DRAFT.programs[1]?.key)).toEqual(["nowhere"]);
  expect(words(DRAFT.programs[2]?.key)).toEqual(["too old"]);
  expect(found.pieces.get(DRAFT.volumes[0]?.key ?? "")).toEqual([
    { tone: "warn", words: "resources.storage.volumes[0].path has no effect: c keeps results" },
  ]);
  expect(found.others).toEqual([]);
});

test("what is about no piece comes to its zone, or stands alone", () => {
  const found = placed(DRAFT, {
    ...NOTHING,
    shortages: [
      at("resources.cpu.cores", "20 cores, of 8"),
      at("execution.redundancy", "too many"),
    ],
    warnings: ["resources.memory.priority has no effect in this version"],
  });
  expect(found.zones.get("cpu")?.[0]?.words).toBe("20 cores, of 8");
  expect(found.zones.get("memory")?.[0]?.tone).toBe("warn");
  expect(found.others.map((each) => each.words)).toEqual(["too many"]);
  expect(found.pieces.size).toBe(0);
});

test("what has no effect is taken, what is missing is refused", () => {
  const refused = (found: Partial<typeof NOTHING>) =>
    isRefused(placed(DRAFT, { ...NOTHING, ...found }));
  expect(refused({ warnings: ["resources.memory.priority has no effect"] } as never)).toBe(false);
  expect(refused({ shortages: [at("resources.tools[1]", "nowhere")] } as never)).toBe(true);
  expect(refused({ problems: [at("id", "expected letters")] } as never)).toBe(true);
});

import { expect, it } from "vitest";
import type { BuildTask, Report } from "@/views/builds/tasks";
import { rowsOf } from "@/views/builds/timeline-rows";

const BEGAN = 1_795_000_000_000;
type Parts = [name: string, atMs: number, tookMs: number][];

function task(key: string, node: string, beganMs: number, parts: Parts): BuildTask {
  const report = {
    node,
    node_name: null,
    shards: [],
    timeline: {
      began_ns: (BEGAN + beganMs) * 1e6,
      parts: parts.map(([name, at_ms, took_ms]) => ({ name, at_ms, took_ms })),
    },
  } as unknown as Report;
  return { key, name: key, task: "build", state: "built", node, since: null, report, needs: [] };
}

const NAMES = new Map([
  ["n1", "anna"],
  ["n2", "berta"],
]);
const rows = (tasks: BuildTask[], critical: string[] = []) =>
  rowsOf(tasks, BEGAN, BEGAN + 500, new Set(critical), NAMES);

it("lays what overlaps on a node beside each other, and what follows into the same row", () => {
  const found = rows(
    [
      task("a", "n1", 0, [["execution", 0, 100]]),
      task("b", "n1", 50, [["execution", 0, 100]]),
      task("c", "n1", 0, [
        ["queue", 0, 110],
        ["execution", 110, 40],
      ]),
      task("d", "n2", 10, [["execution", 0, 10]]),
    ],
    ["c"],
  );
  expect(found.labels).toEqual(["anna", "", "berta"]);
  const row = Object.fromEntries(found.bars.map((bar) => [bar.key, bar.row]));
  // c waited while a ran: waiting takes no place
  expect(row).toEqual({ a: 0, b: 1, c: 0, d: 2 });
  expect(found.bars.filter((bar) => bar.critical).map((bar) => bar.key)).toEqual(["c"]);
  expect(found.end).toBeCloseTo(150, 1);
});

it("gives what was only looked up one row, below all others", () => {
  const found = rows([
    task("a", "n1", 0, [["lookup", 0, 5]]),
    task("b", "n1", 1, [["lookup", 0, 5]]),
    task("c", "n2", 1, [["execution", 0, 5]]),
  ]);
  expect(found.labels).toEqual(["berta", "looked up"]);
});

it("draws what runs up to now", () => {
  const one: BuildTask = {
    key: "a",
    name: "a",
    task: "build",
    state: "running",
    node: "n2",
    since: BEGAN + 100,
    report: null,
    needs: [],
  };
  const [bar] = rows([one]).bars;
  expect(bar).toMatchObject({ from: 100, to: 500, open: true, node: "berta" });
});

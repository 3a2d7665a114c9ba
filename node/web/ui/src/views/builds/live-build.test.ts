import { expect, it } from "vitest";
import { after, type BuildEvent, doneOf, NOTHING_YET } from "@/views/builds/live-build";
import { packagesOf, type Report } from "@/views/builds/tasks";

const report = (name: string, more: Partial<Report> = {}): BuildEvent =>
  ({
    type: "task_finished",
    name,
    task: "build",
    status: "succeeded",
    tier: "full",
    node: "n1",
    node_name: null,
    depends_on: [],
    plan: null,
    ...more,
  }) as unknown as BuildEvent;

const BEGUN = { type: "build_started", build_id: "b", tasks: 5 };

it("takes together what the events of a build tell", () => {
  const events: BuildEvent[] = [
    BEGUN,
    { type: "phase", phase: "perform", at_ms: 1 },
    { type: "tasks_up_to_date", count: 3, tasks: ["a", "a#test"] },
    { type: "task_started", name: "b", task: "build", node: "n2", at: 12.5 },
    { type: "task_started", name: "b", task: "test 1/2", node: "n2", at: 12.6 },
    report("c", { depends_on: ["a"], tier: "pool-cache" }),
  ];
  const build = after(after(NOTHING_YET, events.slice(0, 3)), events.slice(3));
  expect(build.total).toBe(5);
  expect([...build.tasks.keys()]).toEqual(["a", "a#test", "b", "c"]);
  expect(build.tasks.get("b")).toMatchObject({ state: "running", node: "n2", since: 12_500 });
  expect(build.tasks.get("c")?.state).toBe("cached");
  expect(doneOf(build)).toBe(4); // one of them stands without being named
});

it("keeps what was expected first, whatever is expected later", () => {
  const told = (estimated_ms: number) => ({ type: "estimate", estimated_ms });
  const build = after(after(NOTHING_YET, [BEGUN, told(9_000)]), [told(12_000)]);
  expect(build.expected).toMatchObject({ estimated_ms: 9_000 });
  expect(build.nowExpectedMs).toBe(12_000);
});

it("changes nothing that was given out before", () => {
  const before = after(NOTHING_YET, [BEGUN]);
  after(before, [report("a")]);
  expect(before.tasks.size).toBe(0);
});

it("waits until something goes on, and tells why", () => {
  const waits = after(NOTHING_YET, [BEGUN, { type: "waiting", for: "another build" }]);
  expect(waits.waitsFor).toBe("another build");
  expect(after(waits, [{ type: "resumed" }]).waitsFor).toBeNull();
});

it("draws a package in the state of its task that tells most", () => {
  const build = after(NOTHING_YET, [
    BEGUN,
    report("a"),
    report("b", { depends_on: ["a", "b#gen", "gone"] }),
    report("b", { task: "test", status: "failed", tier: null, depends_on: ["b"] }),
  ]);
  expect(packagesOf(build.tasks.values(), new Map([["a", "libs/a"]]))).toEqual([
    { id: "a", state: "built", path: "libs/a", needs: [] },
    { id: "b", state: "failed", path: null, needs: ["a"] },
  ]);
});

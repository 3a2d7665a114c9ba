import { expect, it } from "vitest";
import {
  type LoggedTask,
  logAddress,
  logCommand,
  logsOf,
  sourcesOf,
} from "@/views/builds/log-tasks";

function task(name: string, state: string, told: object | null = { log: "digest/1" }): LoggedTask {
  return { name, task: "build", state, report: told as LoggedTask["report"] };
}

it("has what failed first, then what runs", () => {
  const tasks = [
    task("c", "built"),
    task("b10", "running", null),
    task("b9", "running", null),
    task("a", "failed"),
  ];
  expect(sourcesOf(tasks, []).map((one) => one.key)).toEqual([
    "a#build",
    "b9#build",
    "b10#build",
    "c#build",
  ]);
});

it("leaves out what printed nothing", () => {
  expect(
    sourcesOf([task("a", "skipped", null), task("b", "unchanged", { log: null })], []),
  ).toEqual([]);
});

it("names each shard of a task, and not the task", () => {
  const shards = [
    { shard: "1/2", status: "succeeded", log: "d/1" },
    { shard: "2/2", status: "failed", log: "d/2" },
  ];
  const found = sourcesOf([task("a", "failed", { log: null, shards })], ["a#build 2/2"]);
  expect(found.map(({ key, state }) => [key, state])).toEqual([
    ["a#build 2/2", "failed"],
    ["a#build 1/2", "built"],
  ]);
});

it("knows what printed before anything else tells of it", () => {
  const [found] = sourcesOf([], ["@scope/a#b#test 1/2"]);
  expect(found).toMatchObject({ name: "@scope/a#b", task: "test 1/2", state: "running" });
});

it("tells where all of it is", () => {
  const [found] = sourcesOf([task("@s/a", "built")], []);
  if (found === undefined) throw new Error("nothing was found");
  expect(logAddress("60df", found)).toBe("/api/build/60df/log?package=%40s%2Fa&task=build");
  expect(logCommand("60df", found)).toBe("buildnet history 60df --log '@s/a#build'");
});

it("leads to the output of a task, or to those of its shards", () => {
  const shards = [
    { shard: "1/2", status: "succeeded", log: "d/1" },
    { shard: "2/2", status: "skipped", log: null },
  ];
  expect(logsOf(task("a", "built", { log: null, shards }))).toEqual([
    { key: "a#build 1/2", words: "1/2" },
  ]);
  expect(logsOf(task("a", "built"))).toEqual([{ key: "a#build", words: "output" }]);
  expect(logsOf(task("a", "running", null))).toEqual([{ key: "a#build", words: "output" }]);
  expect(logsOf(task("a", "failed", { log: null }))).toEqual([]);
});

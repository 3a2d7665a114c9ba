import { expect, it } from "vitest";
import { buildCommand } from "@/views/builds/commands";
import { again } from "@/views/builds/start";
import { barAt, type Picture, ticks } from "@/views/builds/timeline-draw";
import type { Bar } from "@/views/builds/timeline-rows";

it("writes commands that a shell takes as they are meant", () => {
  expect(
    buildCommand({ packages: ["a b"], task: "test", force: true, keep_going: false }, "/my shop"),
  ).toBe("buildnet build 'a b' --task test --force -C '/my shop'");
  expect(buildCommand({}, null, "--estimate")).toBe("buildnet build --estimate");
});

it("names what a build goes by, and asks for the same again", () => {
  const kept = { configuration: "two nodes", profile: "fast" };
  expect(buildCommand({ packages: ["a"], choice: kept }, "/w")).toBe(
    "buildnet build a --config 'two nodes' --profile fast -C /w",
  );
  const filled = { template: "big", variables: { cores: 8, name: "a b" } };
  expect(buildCommand({ choice: filled }, null)).toBe(
    "buildnet build --template big --set cores=8 --set 'name=a b'",
  );
  const ask = (choice: object) => again("/w", { packages: ["a"], task: "build", choice } as never);
  expect(ask(kept)).toMatchObject({ config_id: "two nodes", template: null, profile: "fast" });
  expect(ask({ ...filled, configuration: "of-it" })).toMatchObject({
    config_id: null,
    template: "big",
    variables: { cores: 8, name: "a b" },
  });
  expect(again("/w", { choice: { unkept: { id: "x" } } } as never, ["b"])).toMatchObject({
    packages: ["b"],
    config_id: null,
    configuration: { id: "x" },
  });
});

it("puts times on the axis that are round, and not too close", () => {
  const found = ticks({ span: { from: 0, to: 3_700 }, width: 1_012 });
  expect(found.slice(0, 3)).toEqual([0, 500, 1_000]);
  expect(found.length).toBeLessThan(11);
});

it("finds the bar under a point, and not the one that only waits there", () => {
  const bar = (key: string, from: number, to: number, wait: number): Bar => ({
    key,
    state: "built",
    node: "n",
    from,
    to,
    parts: [
      { name: "queue", from, to: from + wait },
      { name: "execution", from: from + wait, to },
    ],
    open: false,
    critical: false,
    row: 0,
  });
  const bars = [bar("first", 0, 500, 0), bar("second", 0, 1_000, 500)];
  const picture = {
    rows: { labels: ["n"], bars, end: 1_000 },
    span: { from: 0, to: 1_000 },
    top: 0,
    width: 1_112,
    height: 100,
  } as unknown as Picture;
  expect(barAt(picture, 112 + 250, 30)?.key).toBe("first");
  expect(barAt(picture, 112 + 750, 30)?.key).toBe("second");
  expect(barAt(picture, 112 + 750, 80)).toBeNull();
  expect(barAt(picture, 40, 30)).toBeNull();
});

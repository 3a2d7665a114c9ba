import { expect, it } from "vitest";
import { read, written } from "@/views/settings/value";

it.each([
  ["true", true],
  ["4", 4],
  ["1d", "1d"],
  ['"4"', "4"],
  ["", null],
  ["  ", null],
  ['["a", 1]', ["a", 1]],
  ["node-1", "node-1"],
])("reads %j", (text, value) => {
  expect(read(text)).toEqual(value);
});

it.each([null, true, 7, 0.5, "1d", ["a"], { max: 2 }, "4", "true", "null", '"quoted"'])(
  "reads what it wrote: %j",
  (value) => {
    expect(read(written(value))).toEqual(value);
  },
);

it.each(["1e999", "-1e999", "9".repeat(400), "[1, 1e999]", '{"max": 1e999}'])(
  "refuses a number that is none: %s",
  (text) => {
    expect(() => read(text)).toThrow("no number that can be kept");
  },
);

it("keeps as text what is in quotes", () => {
  expect(read('"1e999"')).toBe("1e999");
});

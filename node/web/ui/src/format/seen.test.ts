import { expect, test } from "vitest";
import { seen } from "@/format/seen";

test("what a name holds that can't be seen is named", () => {
  expect(seen("shop\u202etxt.exe")).toBe("shop[U+202E]txt.exe");
  expect(seen("a\u0007\u200bb\u202e")).toBe("a[BEL U+200B]b[U+202E]");
  expect(seen("büro#test 1")).toBe("büro#test 1");
});

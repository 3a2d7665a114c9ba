import { expect, test } from "vitest";
import { resultWords } from "@/views/builds/tasks";

test("a command that ran and failed built nothing", () => {
  expect(resultWords({ status: "succeeded", tier: "full" })).toBe("built");
  expect(resultWords({ status: "failed", tier: "full" })).toBe("failed");
  expect(resultWords({ status: "cancelled", tier: "full" })).toBe("cancelled");
  expect(resultWords({ status: "skipped", tier: null })).toBe("");
});

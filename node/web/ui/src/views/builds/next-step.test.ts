import { expect, it } from "vitest";
import { nextStep } from "@/views/builds/next-step";
import type { Report } from "@/views/builds/tasks";

function failed(code: string, hint: string | null = null, hints: string[] = []): Report {
  return { error: { code, message: "", cause: null, hint }, hints } as unknown as Report;
}

it("says what to do by the node's hint, else by the kind of failure", () => {
  expect(nextStep(failed("TIMED_OUT", "raise timeout in buildnet.yaml."), "api")).toBe(
    "raise timeout in buildnet.yaml; then build api again.",
  );
  expect(nextStep(failed("COMMAND_FAILED", null, ["declare a.ts"]), "api")).toMatch(
    /^declare a.ts;/,
  );
  expect(nextStep(failed("COMMAND_FAILED"), "api")).toMatch(/^find the first error in the output/);
  expect(nextStep(failed("NEVER_HEARD_OF"), "api#test")).toBe(
    "see its whole output, mend what it names; then build api#test again.",
  );
});

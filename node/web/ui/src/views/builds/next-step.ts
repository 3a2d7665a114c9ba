import type { Report } from "@/views/builds/tasks";

/** What somebody can do about a kind of failure, where the node has no hint of its own. */
const STEPS: Record<string, string> = {
  COMMAND_FAILED: "find the first error in the output, mend what it names",
  TESTS_FAILED:
    "see which tests failed and the output of their shards, mend them or what they test",
  TIMED_OUT: "find out in the output where it hangs, or give it more time",
  OUTPUT_MISSING: "correct the package's outputs or its command in buildnet.yaml",
  TOOL_MISSING: "install the tool on a host, or have another one join that has it",
  INSTALL_FAILED:
    "see the output of dependencies#install, mend the lockfile or the registry's settings",
  SOURCE_CHANGED: "leave the sources alone while they are read",
  UNEXPECTED: "look into the node's log (Logs), report what stands there",
};

/** What to do about a failed task, as a sentence: the node's own hint, else by the kind of failure. */
export function nextStep(report: Report | null, key: string): string {
  const { error, hints = [] } = report ?? {};
  const hint = error?.hint ?? hints[0];
  const step = hint || STEPS[error?.code ?? ""] || "see its whole output, mend what it names";
  return `${step.replace(/[.\s]+$/, "")}; then build ${key} again.`;
}

import { describe, expect, it } from "vitest";
import { buildsInWords } from "@/views/overview/running-words";

const RUNS = { state: "running" as const };
const WAITS = { state: "waiting" as const };

describe("builds in words", () => {
  it("does not call builds running that wait for a place", () => {
    expect(buildsInWords([RUNS, WAITS], ["running", "waiting"])).toEqual({
      head: "1 build running",
      behind: "1 build waits",
    });
    expect(buildsInWords([WAITS, WAITS], ["paused", "paused", undefined])).toEqual({
      head: "No build runs yet",
      behind: "2 builds wait",
    });
  });

  it("says that there is none", () => {
    expect(buildsInWords([], [])).toEqual({ head: "Builds running", behind: "nobody waits" });
  });
});

import { describe, expect, it } from "vitest";
import { buildsInWords } from "@/views/overview/running-words";

type State = "running" | "waiting" | "paused";

function words(builds: Record<string, State>, queued: Record<string, State | undefined>) {
  const of = <T>(states: Record<string, T>) =>
    new Map(Object.entries(states).map(([id, state]) => [id, { state }]));
  return buildsInWords(of(builds), of(queued));
}

describe("builds in words", () => {
  it("does not call builds running that wait for a place", () => {
    expect(words({ a: "running", b: "waiting" }, { a: "running", b: "waiting" })).toEqual({
      head: "1 build running",
      behind: "1 build waits",
    });
    expect(
      words({ a: "waiting", b: "waiting" }, { a: "paused", b: "paused", queue: undefined }),
    ).toEqual({ head: "No build runs yet", behind: "2 builds wait" });
  });

  it("says of no build that it runs and waits at once", () => {
    expect(words({ a: "running" }, { a: "waiting" })).toEqual({
      head: "1 build running",
      behind: "nobody waits",
    });
  });

  it("says that there is none", () => {
    expect(words({}, {})).toEqual({ head: "Builds running", behind: "nobody waits" });
  });
});

import { plural } from "@/format/format";
import type { Standing } from "@/views/builds/standing";

/**
 * How many builds run, and how many wait in the queue. `builds` are those that were asked for and
 * have not ended, as they stand: who waits for a place does not run. `queued`: the states of the queue's builds.
 */
export function buildsInWords(
  builds: readonly Pick<Standing, "state">[],
  queued: readonly unknown[],
): { head: string; behind: string } {
  const running = builds.filter((build) => build.state === "running").length;
  const waiting = queued.filter((state) => state === "waiting" || state === "paused").length;
  return {
    head:
      running > 0
        ? `${plural(running, "build")} running`
        : builds.length > 0
          ? "No build runs yet"
          : "Builds running",
    behind: waiting === 0 ? "nobody waits" : plural(waiting, "build waits", "builds wait"),
  };
}

import { plural } from "@/format/format";
import type { Standing } from "@/views/builds/standing";

/**
 * How many builds run, and how many wait in the queue. `builds` are those that were asked for and
 * have not ended, as they stand, by id: who waits for a place does not run. `queued`: the queue's
 * builds and their states. It hears later than the build itself tells that one runs.
 */
export function buildsInWords(
  builds: ReadonlyMap<string, Pick<Standing, "state">>,
  queued: ReadonlyMap<string, Record<string, unknown>>,
): { head: string; behind: string } {
  const states = [...builds.values()].map((build) => build.state);
  const running = states.filter((state) => state === "running").length;
  const waiting = [...queued].filter(
    ([id, { state }]) =>
      (state === "waiting" || state === "paused") && builds.get(id)?.state !== "running",
  ).length;
  return {
    head:
      running > 0
        ? `${plural(running, "build")} running`
        : builds.size > 0
          ? "No build runs yet"
          : "Builds running",
    behind: waiting === 0 ? "nobody waits" : plural(waiting, "build waits", "builds wait"),
  };
}

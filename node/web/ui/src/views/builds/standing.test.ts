import { expect, it } from "vitest";
import { isRunning, standingOf } from "@/views/builds/standing";

const RUNS = { waits_for: null, running: ["core#build"] };
const STILL = { waits_for: null, running: [] };

it("tells builds that run from those that wait for a place, for another build, or are paused", () => {
  expect(standingOf(RUNS, { id: "a", state: "running" }).state).toBe("running");
  expect(standingOf({ ...RUNS, waits_for: "another build" }, undefined).state).toBe("running");
  expect(standingOf(STILL, undefined).state).toBe("running");
  expect(standingOf(STILL, { id: "a", state: "waiting" })).toEqual({
    state: "waiting",
    why: "until a host has room",
  });
  expect(standingOf({ ...STILL, waits_for: "another build" }, undefined)).toEqual({
    state: "waiting",
    why: "for another build",
  });
  expect(standingOf(STILL, { id: "a", state: "paused", reason: "lunch" })).toEqual({
    state: "paused",
    why: "lunch",
  });
});

it("does not count a build as running that waits, is paused or has ended", () => {
  const waits = { status: "running", ...STILL } as const;
  expect(isRunning({ status: "running", ...RUNS }, undefined)).toBe(true);
  expect(isRunning(waits, { id: "a", state: "waiting" })).toBe(false);
  expect(isRunning(waits, { id: "a", state: "paused" })).toBe(false);
  expect(isRunning({ status: "succeeded", ...STILL }, undefined)).toBe(false);
});

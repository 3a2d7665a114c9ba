import { describe, expect, it } from "vitest";
import { Problem } from "@/api/problem";

describe("what was thrown", () => {
  it.each([
    new TypeError("Failed to fetch"),
    new TypeError("NetworkError when attempting to fetch resource."),
    new TypeError("Failed to fetch dynamically imported module: /ui/assets/queue.js"),
    new Error("Unable to preload CSS for /ui/assets/queue.css"),
  ])("tells of a node that does not answer: $message", (thrown) => {
    expect(Problem.from(thrown)).toMatchObject({ code: "UNREACHABLE", status: 0 });
  });

  it("does not blame the node for a fault of the page", () => {
    const fault = new TypeError("Cannot read properties of undefined (reading 'load')");
    expect(Problem.from(fault)).toMatchObject({ code: "PAGE", message: fault.message });
  });
});

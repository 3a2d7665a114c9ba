import { describe, expect, it } from "vitest";
import { endedIn } from "@/views/builds/ledger-build";

describe("what the ledger tells of a build", () => {
  const row = { name: "app", status: "failed", duration_ms: 12, node: "ab", error: "exit 1" };

  it("is how its packages ended, by its last end", () => {
    const found = endedIn([
      { type: "build.started", data: { packages: ["app"] } },
      { type: "build.cancelled", data: { packages: [] } },
      { type: "build.failed", data: { packages: [row], packages_left_out: 3 } },
    ]);
    expect(found).toEqual({ packages: [row], leftOut: 3 });
  });

  it("is nothing as long as it has not ended, or the entry was pruned", () => {
    const nothing = { packages: [], leftOut: 0 };
    expect(endedIn([{ type: "build.started", data: { packages: ["app"] } }])).toEqual(nothing);
    expect(endedIn([{ type: "build.failed", data: null }])).toEqual(nothing);
  });

  it("leaves out what makes no sense", () => {
    const packages = ["app", null, { name: 1 }, { name: "b", duration_ms: "x", node: 5 }];
    const found = endedIn([
      { type: "build.completed", data: { packages, packages_left_out: "x" } },
    ]);
    expect(found).toEqual({
      packages: [{ name: "b", status: "unknown", duration_ms: null, node: null, error: null }],
      leftOut: 0,
    });
  });
});

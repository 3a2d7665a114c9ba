import { expect, test } from "vitest";
import { homeOf } from "@/views/builds/home";
import { NOTHING_YET } from "@/views/builds/live-build";
import type { Told } from "@/views/builds/use-build";

const NODES = [
  { id: "aa", name: "anna", this_node: false },
  { id: "bb", name: "berta", this_node: true },
];

function home(node_id: string) {
  const told = { recorded_on: { node_id, name: "carl" } } as unknown as Told;
  return homeOf({ told, live: NOTHING_YET }, NODES);
}

test("the directory of a build is on the node that it was asked of", () => {
  expect(home("aa")).toEqual({ name: "anna", isHere: false });
  expect(home("bb")).toEqual({ name: "berta", isHere: true });
  expect(home("cc")).toEqual({ name: "carl", isHere: false });
  expect(homeOf({ told: null, live: NOTHING_YET }, NODES)).toEqual({ name: "berta", isHere: true });
});

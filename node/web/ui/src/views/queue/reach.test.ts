import { expect, it } from "vitest";
import { mayChange, reachWords } from "@/views/queue/reach";

const node = { id: "n1", name: "node1" };
const own = { actor: "anna", node_id: "n1" };
const elsewhere = { actor: "bert", node_id: "n2" };

it("lets an admin change all builds", () => {
  const admin = { actions: ["manage-nodes", "cancel-build"], actor: "x", is_owner: false, node };
  expect([own, elsewhere].map((build) => mayChange(build, admin))).toEqual([true, true]);
});

it("lets the owner of a builder's node change what that node drives", () => {
  const owner = { actions: ["cancel-build"], actor: "local", is_owner: true, node };
  expect([own, elsewhere].map((build) => mayChange(build, owner))).toEqual([true, false]);
});

it("lets others change their own builds, on whatever node", () => {
  const bert = { actions: ["cancel-build"], actor: "bert", is_owner: false, node };
  expect([own, elsewhere].map((build) => mayChange(build, bert))).toEqual([false, true]);
});

it("lets who only looks change nothing", () => {
  const observer = { actions: ["view-builds"], actor: "anna", is_owner: false, node };
  expect(mayChange(own, observer)).toBe(false);
});

it("tells who may not change all what they may", () => {
  const words = (actions: string[], is_owner = false) =>
    reachWords({ actions, actor: "bert", is_owner, node });
  expect(words(["manage-nodes", "cancel-build"])).toBeNull();
  expect(words(["view-builds"])).toContain("You see the queue");
  expect(words(["cancel-build"])).toContain("bert asked for");
  expect(words(["cancel-build"], true)).toContain("what node1 builds");
});

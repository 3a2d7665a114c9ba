import { expect, it } from "vitest";
import { disksOf, standing, totals, volumes } from "@/pool/totals";
import { aPoolNode } from "@/testing/nodes";

it("adds up what the workers that are there have, and says of whom that is not known", () => {
  const of = totals([
    aPoolNode({ id: "a", name: "anna", measuredAt: 5_000 }),
    aPoolNode({ id: "b", name: "berta", resources: null, measuredAt: 1_000 }),
    aPoolNode({ id: "c", name: "carla", status: "offline", measuredAt: 2_000 }),
    aPoolNode({ id: "d", name: "dora", measuredAt: 4_000, cores_in_use: 1, draining: true }),
    aPoolNode({ id: "e", name: "eva", role: "observer", measuredAt: 3_000 }),
  ]);
  expect(of.cores).toEqual({ used: 3, total: 16 });
  expect(of.untold).toEqual(["berta"]);
  expect(of.oldestAt).toBe(4_000);
  expect([of.online, of.observers, of.drained, of.missing]).toEqual([4, 1, 1, 1]);
  expect(totals([]).oldestAt).toBeNull();
});

it("calls a node drained only where it is there", () => {
  const drained = (status: "online" | "suspect" | "offline") =>
    standing(aPoolNode({ status, draining: true }));
  expect([drained("online"), drained("suspect"), drained("offline")]).toEqual([
    "drained",
    "suspect",
    "offline",
  ]);
  expect(standing(aPoolNode({ status: "busy" }))).toBe("busy");
});

it("counts each disk once, and no RAM disk, with what its owner gives of it", () => {
  const node = aPoolNode();
  const [root] = node.resources?.storage ?? [];
  if (root === undefined || node.resources === null) throw new Error("the node has a disk");
  const storage = [
    root,
    { ...root, path: "/dev/shm", mount_point: "/dev/shm", storage_class: "ramdisk" as const },
    { ...root, path: "/builds", total_bytes: 20, available_bytes: 20, max_bytes: 20 },
  ];
  const disks = [{ path: "/builds", used_percent: 9, available_bytes: 90 }];
  const shared = aPoolNode({
    resources: { ...node.resources, storage },
    utilization: { ...node.utilization, disks } as typeof node.utilization,
  });
  const GB = 1024 ** 3;
  expect(disksOf(shared).map((each) => [each.path, each.available])).toEqual([
    ["/", 200 * GB],
    ["/builds", 20],
  ]);
  expect(volumes(shared)).toEqual([{ path: "/", used: 300 * GB, total: 500 * GB }]);
  expect(totals([shared]).disk).toEqual({ used: 300 * GB, total: 500 * GB });
});

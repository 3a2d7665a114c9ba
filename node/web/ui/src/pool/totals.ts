import type { PoolNode } from "@/live/pool-nodes";

export interface Amount {
  used: number | null;
  total: number;
}

export interface Totals {
  cores: Amount;
  memory: Amount;
  disk: Amount;
  /** How many nodes are in each state; `drained` ones count besides. */
  online: number;
  drained: number;
  missing: number;
  observers: number;
  /** Names of workers that are there and have not told what they have: none of it is counted. */
  untold: string[];
  /** When the oldest of these figures was measured, in milliseconds since 1970; null: not known. */
  oldestAt: number | null;
}

/** What the workers that are there have together, and how much of it is in use. */
export function totals(nodes: readonly PoolNode[]): Totals {
  const there = nodes.filter(isThere);
  const all = there.filter((node) => node.role === "worker");
  const workers = all.filter((node) => node.resources !== null);
  const measured = workers.flatMap((node) => node.measuredAt ?? []);
  return {
    cores: {
      used: sum(workers, (node) => node.cores_in_use),
      total: sum(workers, (node) => node.resources?.cpu.cores ?? 0),
    },
    memory: memory(workers),
    disk: disk(workers),
    online: there.length,
    drained: there.filter((node) => node.draining).length,
    missing: nodes.length - there.length,
    observers: there.filter((node) => node.role === "observer").length,
    untold: all.filter((node) => node.resources === null).map((node) => node.name),
    oldestAt: measured.length > 0 ? Math.min(...measured) : null,
  };
}

export function isThere(node: PoolNode): boolean {
  return node.status === "online" || node.status === "busy";
}

/** What a node is in one word: that it is drained matters only of one that is there. */
export function standing(node: PoolNode): string {
  return node.draining && isThere(node) ? "drained" : node.status;
}

/** How much of a node's memory is in use by everything on its host; null: not measured. */
export function memoryInUse(node: PoolNode): number | null {
  const share = node.utilization?.memory_percent;
  const total = node.resources?.memory.total_bytes;
  return share == null || total === undefined ? null : (share / 100) * total;
}

/** A volume as its node tells it, with what is available of it by the newest measurement. */
type Volume = NonNullable<NonNullable<PoolNode["resources"]>["storage"]>[number] & {
  available: number | null;
};

/**
 * The volumes of a node's disks: a RAM disk is memory, which is counted as such. What is in use is what
 * is not available of `total_bytes`, as `df` counts for its percentage.
 */
export function disksOf(node: Pick<PoolNode, "resources" | "utilization">): Volume[] {
  const measured = new Map(
    node.utilization?.disks?.map((disk) => [disk.path, disk.available_bytes]),
  );
  return (node.resources?.storage ?? [])
    .filter((volume) => volume.storage_class !== "ramdisk")
    .map((volume) => {
      const available = measured.get(volume.path) ?? volume.available_bytes ?? null;
      const most = volume.total_bytes ?? Number.POSITIVE_INFINITY;
      return { ...volume, available: available === null ? null : Math.min(available, most) };
    });
}

/** The disks of which it is known how full they are: directories of one volume are told once. */
export function volumes(node: PoolNode): { path: string; used: number; total: number }[] {
  const found = new Map<string, { path: string; used: number; total: number }>();
  for (const { path, mount_point, total_bytes, available } of disksOf(node)) {
    if (total_bytes == null || available === null) continue;
    const known = found.get(mount_point);
    if (known !== undefined && known.total >= total_bytes) continue;
    found.set(mount_point, { path, used: total_bytes - available, total: total_bytes });
  }
  return [...found.values()];
}

function memory(workers: readonly PoolNode[]): Amount {
  const used = workers.map(memoryInUse);
  return {
    used: used.includes(null) ? null : sum(used, (bytes) => bytes ?? 0),
    total: sum(workers, (node) => node.resources?.memory.total_bytes ?? 0),
  };
}

function disk(workers: readonly PoolNode[]): Amount {
  const all = workers.flatMap(volumes);
  return {
    used: sum(all, (volume) => volume.used),
    total: sum(all, (volume) => volume.total),
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

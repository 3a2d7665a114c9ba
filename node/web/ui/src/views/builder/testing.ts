import type { PoolNode } from "@/views/builder/pool-nodes";

/** For tests: a node of 8 cores and 16 GiB, half of them free. */
export function node(name: string, more: Partial<PoolNode> = {}): PoolNode {
  return {
    id: `id-${name}`,
    name,
    status: "online",
    thisNode: false,
    away: null,
    cores: 8,
    freeCores: 4,
    memoryGb: 16,
    freeMemoryGb: 8,
    volumes: [{ path: "/", mountPoint: "/", storageClass: "ssd", freeGb: 100, totalGb: 200 }],
    tools: [{ name: "git", version: "2.40" }],
    runtimes: [],
    ...more,
  };
}

export const POOL = [
  node("anna", { thisNode: true }),
  node("berta", { tools: [{ name: "ffmpeg", version: "6.1" }], freeCores: 0 }),
  node("cara", { status: "offline", away: "cara is offline" }),
];

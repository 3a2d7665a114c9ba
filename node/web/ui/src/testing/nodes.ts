import type { Schema } from "@/api/client";
import type { PoolNode } from "@/live/pool-nodes";

const GB = 1024 ** 3;

/** A node for tests, as GET /api/pool/nodes tells of it. */
export function aNode(of: Partial<Schema["Node"]> = {}): Schema["Node"] {
  return {
    id: "591a6103ee771cc4",
    name: "anna",
    status: "online",
    role: "worker",
    coordinator: false,
    rights: "builder",
    version: "0.2.0",
    this_node: false,
    address: "http://192.0.2.2:80",
    tags: [],
    slots: 8,
    benchmark: null,
    measured_at: "2026-11-22T01:11:59.422Z",
    age_s: 0.5,
    latency_ms: 1.5,
    latency_estimated: false,
    actions_running: 0,
    cores_in_use: 2,
    draining: false,
    lends_nothing: null,
    builds: 0,
    priority_weight: 1,
    resources: {
      system: { name: "linux", version: "Debian 12", kernel: "6.1" },
      cpu: { cores: 8, logical: 8, architecture: "x86_64", model: "AMD EPYC" },
      memory: { total_bytes: 32 * GB, available_bytes: 24 * GB, installed_bytes: 32 * GB },
      storage: [
        {
          path: "/",
          mount_point: "/",
          total_bytes: 500 * GB,
          available_bytes: 200 * GB,
          file_system: "ext4",
        },
      ],
      tools: [{ name: "git", version: "2.39.5", path: "/usr/bin/git", capabilities: ["clone"] }],
      runtimes: [{ name: "node", version: "20.20.2", path: "/usr/bin/node", capabilities: [] }],
      network: [],
      gpus: [],
      scanned_at: "2026-11-22T01:11:14Z",
    },
    utilization: {
      cpu_percent: 30,
      memory_percent: 25,
      load_average: [1, 1, 1],
      disks: [{ path: "/", used_percent: 60, available_bytes: 200 * GB }],
      measured_at: "2026-11-22T01:11:59.422Z",
    },
    ...of,
  };
}

/** The same as the views see it. */
export function aPoolNode(of: Partial<PoolNode> = {}): PoolNode {
  return { ...aNode(of), measuredAt: null, ...of };
}

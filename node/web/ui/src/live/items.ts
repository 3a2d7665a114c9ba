/** What the channels of `/ws` tell, as docs/reference/events.md has it. */

export type Channel =
  | "nodes"
  | "resources"
  | "builds"
  | "queue"
  | "pool"
  | "ledger"
  | "logs"
  | "sessions"
  | "node_logs";

export interface NodeItem {
  id: string;
  name: string;
  status: string;
  role: string;
  rights: string;
  coordinator: boolean;
  version: string;
  this_node: boolean;
  address: string | null;
  tags: string[];
  draining: boolean;
  lends_nothing: boolean;
  builds: number;
  latency_ms: number | null;
}

export interface BuildTask {
  name: string;
  task: string;
  status: string;
  tier: string | null;
  node: string | null;
  duration_ms: number | null;
}

export interface BuildItem {
  id: string;
  workspace: string;
  node: string;
  node_id: string;
  this_node: boolean;
  actor: string;
  status: string;
  started_at: string;
  tasks: number | null;
  done: number;
  failed: number;
  running: string[];
  recent: BuildTask[];
  waits_for: string | null;
  estimated_ms: number | null;
  duration_ms: number | null;
  error: string | null;
}

/** The type of events that tell what a running task printed before: the snapshot has it. */
export const OUTPUT_SO_FAR = "output_so_far";

/** One event of a channel. */
export interface LiveEvent {
  cursor: string;
  channel: Channel;
  type: string;
  at: number;
  data: Record<string, unknown>;
}

export type Item = { id: string; gone?: boolean } & Record<string, unknown>;
export type Items = ReadonlyMap<string, Item>;

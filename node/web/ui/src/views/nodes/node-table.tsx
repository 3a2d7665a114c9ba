import { Link } from "wouter";
import { type Column, Table } from "@/components/table";
import { bytes, percent } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { memoryInUse } from "@/pool/totals";
import { fullestVolume, ORDERS } from "@/views/nodes/node-list";
import { NodeAge, NodeBadges, nodePath, roundTrip } from "@/views/nodes/node-words";

/** How many are shown at first, and how many more each time. */
const PART = 120;

const sort = Object.fromEntries(ORDERS.map((order) => [order.name, order.sort]));

const SHOWN: readonly Column<PoolNode>[] = [
  {
    name: "name",
    cell: (node) => <Link href={nodePath(node)}>{node.name}</Link>,
  },
  { name: "status", cell: (node) => <NodeBadges node={node} /> },
  { name: "role", cell: (node) => `${node.role}, ${node.rights}`, sort: (node) => node.role },
  {
    name: "cpu",
    title: "CPU",
    numeric: true,
    cell: (node) => <Share of={node.utilization?.cpu_percent} whole={100} />,
  },
  {
    name: "cores",
    numeric: true,
    cell: (node) =>
      node.resources === null ? "unknown" : `${node.cores_in_use} of ${node.resources.cpu.cores}`,
  },
  {
    name: "memory",
    numeric: true,
    cell: (node) => (
      <Share of={memoryInUse(node)} whole={node.resources?.memory.total_bytes} shown={bytes} />
    ),
  },
  {
    name: "disk",
    title: "fullest disk",
    numeric: true,
    cell: (node) => {
      const volume = fullestVolume(node);
      return <Share of={volume?.used} whole={volume?.total} />;
    },
  },
  { name: "latency", title: "round trip", numeric: true, cell: roundTrip },
  { name: "age", title: "measured", numeric: true, cell: (node) => <NodeAge node={node} /> },
  { name: "tags", cell: (node) => node.tags.join(", ") },
];

const COLUMNS = SHOWN.map((column) => {
  const by = sort[column.name];
  return by === undefined ? column : { ...column, sort: by };
});

/** Many nodes, a line each. */
export function NodeTable({ nodes }: { nodes: readonly PoolNode[] }) {
  return (
    <div className="node-table">
      <Table caption="Nodes" columns={COLUMNS} rows={nodes} step={PART} keyOf={(node) => node.id} />
    </div>
  );
}

/** A figure with a small bar behind it. */
function Share({
  of,
  whole,
  shown,
}: {
  of: number | null | undefined;
  whole: number | undefined;
  shown?: (value: number) => string;
}) {
  if (of == null || whole === undefined || whole === 0) {
    return <span className="soft">unknown</span>;
  }
  return (
    <span
      className="share"
      style={{ backgroundSize: `${Math.min(100, (of / whole) * 100)}% 100%` }}
    >
      {shown?.(of) ?? percent(of, whole)}
    </span>
  );
}

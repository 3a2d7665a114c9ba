import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import { Crown } from "lucide-react";
import { StatusBadge, StatusIcon } from "@/components/badge";
import { plural } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { standing } from "@/pool/totals";

type NodeData = Node<{
  node: PoolNode;
  isSelected: boolean;
  isSmall: boolean;
  /** What clicks do now; the same object for as long as the graph is there. */
  acts: React.RefObject<{ select: (id: string) => void; open: (path: string) => void }>;
}>;

/** A node in the graph: a click chooses it, Enter or a double click opens it. */
export function NodeShape({ data }: NodeProps<NodeData>) {
  const { node, isSelected, isSmall, acts } = data;
  const status = standing(node);
  const path = `/ui/nodes/${node.id}`;
  const click = (event: React.MouseEvent) => {
    if (event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (event.detail === 0)
      acts.current.open(path); // a key did it
    else acts.current.select(node.id);
  };
  return (
    <a
      href={path}
      className={`graph-node nopan ${node.status} ${isSelected ? "selected" : ""} ${isSmall ? "small" : ""}`}
      title={`${node.name}, ${status}`}
      onClick={click}
      onDoubleClick={() => acts.current.open(path)}
      onFocus={(event) => {
        if (event.currentTarget.matches(":focus-visible")) acts.current.select(node.id);
      }}
    >
      <span className="ellipsis">
        {node.coordinator && <Crown aria-label="coordinator" size={14} />} {node.name}
      </span>
      {isSmall ? <StatusIcon status={status} /> : <StatusBadge status={status} />}
      {/* The library may measure a node all the same: then links begin where these are, or nowhere. */}
      <Handle type="source" position={Position.Top} isConnectable={false} />
      <Handle type="target" position={Position.Top} isConnectable={false} />
    </a>
  );
}

/** The frame around nodes that are near each other. */
export function GroupFrame({ data }: NodeProps<Node<{ count: number; of: number }>>) {
  return (
    <div className="graph-group">
      {data.count === 1
        ? "alone, or unknown"
        : `${plural(data.count, "node")} within 10 ms of each other`}
    </div>
  );
}

import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import { Crown } from "lucide-react";
import { StatusBadge, StatusIcon } from "@/components/badge";
import { plural } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";

type NodeData = Node<{
  node: PoolNode;
  isSelected: boolean;
  isSmall: boolean;
  onSelect: (id: string) => void;
  onOpen: (path: string) => void;
}>;

/** A node in the graph: a click chooses it, Enter or a double click opens it. */
export function NodeShape({ data }: NodeProps<NodeData>) {
  const { node, isSelected, isSmall, onSelect, onOpen } = data;
  const status = node.draining ? "drained" : node.status;
  const path = `/ui/nodes/${node.id}`;
  const click = (event: React.MouseEvent) => {
    if (event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (event.detail === 0)
      onOpen(path); // a key did it
    else onSelect(node.id);
  };
  return (
    <>
      <Handle type="target" position={Position.Top} isConnectable={false} />
      <a
        href={path}
        className={`graph-node nopan ${node.status} ${isSelected ? "selected" : ""} ${isSmall ? "small" : ""}`}
        title={`${node.name}, ${status}`}
        onClick={click}
        onDoubleClick={() => onOpen(path)}
        onFocus={(event) => {
          if (event.currentTarget.matches(":focus-visible")) onSelect(node.id);
        }}
      >
        <span className="ellipsis">
          {node.coordinator && <Crown aria-label="coordinator" size={14} />} {node.name}
        </span>
        {isSmall ? <StatusIcon status={status} /> : <StatusBadge status={status} />}
      </a>
      <Handle type="source" position={Position.Top} isConnectable={false} />
    </>
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

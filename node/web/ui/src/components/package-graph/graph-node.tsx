import type { Node, NodeProps } from "@xyflow/react";
import { FolderMinus } from "lucide-react";
import { memo, useContext } from "react";
import { CloseDirectory } from "@/components/package-graph/close-directory";
import { shortened } from "@/components/package-graph/export";
import { directoryWords, type ShownNode } from "@/components/package-graph/shape";
import { LOOKS } from "@/components/package-graph/states";

export interface NodeData extends Record<string, unknown> {
  node: ShownNode;
  /** Found by the search, not found, or nothing is searched for. */
  found: boolean | null;
}

export type FlowNode = Node<NodeData, "package">;

/** A package in the drawing. As simple as can be: there may be a thousand. */
export const GraphNode = memo(function GraphNode({ data, selected }: NodeProps<FlowNode>) {
  const { node, found } = data;
  const look = LOOKS[node.state];
  const aside = found === false ? " aside" : found === true ? " found" : "";
  return (
    <div
      className={`graph-node ${node.state}${selected ? " selected" : ""}${aside}`}
      title={`${node.label}: ${look.words}${node.hidden > 0 ? `, ${node.hidden} hidden` : ""}`}
    >
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d={look.path} className={look.filled ? "filled" : "line"} />
      </svg>
      <span>{shortened(node.label)}</span>
      {node.hidden > 0 && <b>+{node.hidden}</b>}
      {node.within !== null && <Close directory={node.within} />}
    </div>
  );
});

/** The keyboard has the same button above the drawing, once for each directory. */
function Close({ directory }: { directory: string }) {
  const close = useContext(CloseDirectory);
  const words = `Close ${directoryWords(directory)}`;
  return (
    <button
      type="button"
      className="graph-close"
      tabIndex={-1}
      aria-label={words}
      title={words}
      onClick={(event) => {
        event.stopPropagation();
        close(directory);
      }}
    >
      <FolderMinus aria-hidden size={14} />
    </button>
  );
}

import {
  Controls,
  type Edge,
  type Node,
  Position,
  ReactFlow,
  type ReactFlowInstance,
} from "@xyflow/react";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useLocation } from "wouter";
import type { PoolNode } from "@/live/pool-nodes";
import { GroupFrame, NodeShape } from "@/views/topology/graph-shapes";
import { CARD, CIRCLE_UP_TO, layout } from "@/views/topology/layout";
import { type Link, type Links, linkLabel } from "@/views/topology/links";
import "@xyflow/react/dist/style.css";
import "@/views/topology/graph.css";

const SLOW_SHOWN = 24;
const LABELS_UP_TO = 6;
const MARGIN = 8;
const FIT = { padding: `${MARGIN}px`, maxZoom: 1 } as const;
const SHAPES = { node: NodeShape, group: GroupFrame };

/** The nodes and their links. Of many nodes only the links of the chosen one and the slow ones. */
export default function Graph({
  nodes,
  links,
  selected,
  onSelect,
}: {
  nodes: readonly PoolNode[];
  links: Links;
  /** Its id, or "". */
  selected: string;
  onSelect: (id: string) => void;
}) {
  const [, go] = useLocation();
  const frame = useRef<HTMLElement>(null);
  const width = useWidth(frame);
  const flow = useRef<ReactFlowInstance<Node, Edge>>(null);
  const ids = nodes.map((node) => node.id).join(" ");
  const few = nodes.length <= CIRCLE_UP_TO;
  // Where they stand changes with who is there, not with each figure.
  // biome-ignore lint/correctness/useExhaustiveDependencies: ids stand for the nodes
  const placed = useMemo(
    () => layout(ids === "" || width === 0 ? [] : ids.split(" "), links, width - 2 * MARGIN),
    [ids, width],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the picture follows who is there
  useEffect(() => {
    void flow.current?.fitView(FIT);
  }, [placed]);
  // A node of which nothing is new stays the same shape: of a hundred only two are drawn when
  // another one is chosen.
  const kept = useRef(new Map<string, { of: readonly unknown[]; shape: Node }>());
  const acts = useRef({ select: onSelect, open: go });
  acts.current = { select: onSelect, open: go };
  const shapes = useMemo<Node[]>(() => {
    const byId = new Map(nodes.map((node) => [node.id, node]));
    return [
      ...placed.groups.map((group, place) => ({
        id: `group ${place}`,
        type: "group",
        position: { x: group.x, y: group.y },
        ...known({ width: group.width, height: group.height }),
        data: { count: group.ids.length, of: placed.groups.length },
        zIndex: -1,
      })),
      ...placed.nodes.flatMap(({ id, x, y }) => {
        const node = byId.get(id);
        if (node === undefined) return [];
        const of = [node, placed, id === selected];
        const old = kept.current.get(id);
        if (old?.of.every((part, place) => part === of[place])) return old.shape;
        const shape = {
          id,
          type: "node",
          position: { x, y },
          ...known(placed.card),
          data: { node, isSelected: id === selected, isSmall: placed.card !== CARD, acts },
        };
        kept.current.set(id, { of, shape });
        return shape;
      }),
    ];
  }, [nodes, placed, selected]);
  const edges = useMemo(
    () => shownLinks(links, selected, few).map((link) => edgeOf(link, selected, nodes.length)),
    [links, selected, few, nodes.length],
  );
  return (
    <section
      ref={frame}
      className="graph"
      style={{ height: placed.height + 2 * MARGIN }}
      aria-label="Graph of nodes and links"
    >
      {width > 0 && (
        <ReactFlow
          nodes={shapes}
          edges={edges}
          nodeTypes={SHAPES}
          onInit={(instance) => {
            flow.current = instance;
          }}
          onPaneClick={() => onSelect("")}
          onMoveStart={() => frame.current?.classList.add("moving")}
          onMoveEnd={() => frame.current?.classList.remove("moving")}
          fitView
          fitViewOptions={FIT}
          minZoom={0.15}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          preventScrolling={false}
          zoomOnScroll={false}
          zoomOnPinch
          proOptions={{ hideAttribution: true }}
        >
          <Controls showInteractive={false} />
        </ReactFlow>
      )}
    </section>
  );
}

/** How wide an element is, as it changes; 0 until it is there. */
function useWidth(element: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const observed = element.current;
    if (observed === null) return;
    setWidth(observed.clientWidth);
    const observer = new ResizeObserver(() => setWidth(observed.clientWidth));
    observer.observe(observed);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

/** What is told of a shape, so that none of a hundred is measured; links meet in its middle. */
function known({ width, height }: { width: number; height: number }) {
  const middle = { position: Position.Top, x: width / 2, y: height / 2, width: 0, height: 0 };
  return {
    width,
    height,
    measured: { width, height },
    handles: [
      { ...middle, type: "source" as const },
      { ...middle, type: "target" as const },
    ],
  };
}

function shownLinks(links: Links, selected: string, few: boolean): readonly Link[] {
  if (few) return links.all;
  const own = selected === "" ? [] : links.of(selected);
  return [...new Set([...links.slowest(SLOW_SHOWN), ...own])];
}

function edgeOf(link: Link, selected: string, count: number): Edge {
  const isOwn = link.from === selected || link.to === selected;
  const label =
    count <= LABELS_UP_TO || (isOwn && count <= CIRCLE_UP_TO) ? linkLabel(link) : undefined;
  const classes = [
    `grade-${link.grade ?? "unknown"}`,
    link.estimated ? "estimated" : "",
    selected !== "" && !isOwn ? "aside" : "",
  ];
  return {
    id: `${link.from} ${link.to}`,
    source: link.from,
    target: link.to,
    type: "straight",
    className: classes.join(" "),
    ...(label && { label, labelShowBg: true, labelBgPadding: [4, 2] as [number, number] }),
  };
}

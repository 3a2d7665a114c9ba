import "@xyflow/react/dist/base.css";
import {
  Controls,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  useStore,
  ViewportPortal,
} from "@xyflow/react";
import { useEffect, useMemo, useRef } from "react";
import { edgePath } from "@/components/package-graph/export";
import { GraphCursor } from "@/components/package-graph/graph-cursor";
import { type FlowNode, GraphNode } from "@/components/package-graph/graph-node";
import { NODE_HEIGHT, NODE_WIDTH, type Places } from "@/components/package-graph/places";
import type { Shown } from "@/components/package-graph/shape";

const NODE_TYPES = { package: GraphNode };
/** From here on names can't be read. */
const FAR = 0.72;
/** So many nodes are always drawn one by one. */
const MANY = 150;
/** A drawing that is narrower is on a phone. */
const NARROW = 480;
const EDGE = 12;
const NONE: FlowNode[] = [];
/** So many edges are one path. */
const TOGETHER = 50;
const EDGE_WIDTH = 1.2;
/** The width that is surely drawn as a line, in points of the screen. */
const HAIR = 0.9;
/** Room for the buttons at the lower left, and an edge. */
const CONTROLS = 52;
const MAX_ZOOM = 1.1;
const FIT = {
  padding: { left: `${CONTROLS}px`, right: "16px", top: "16px", bottom: "16px" },
  maxZoom: MAX_ZOOM,
} as const;

interface Drawing {
  shape: Shown;
  places: Places;
  selected: string | null;
  found: ReadonlySet<string> | null;
  onSelect: (id: string | null) => void;
}

/** The drawing of a graph: zoomed by wheel and pinch, moved by dragging. */
export default function GraphCanvas(drawing: Drawing) {
  return (
    <ReactFlowProvider>
      <Canvas {...drawing} />
    </ReactFlowProvider>
  );
}

function Canvas({ shape, places, selected, found, onSelect }: Drawing) {
  const before = useRef(new Map<string, FlowNode>());
  const nodes = useMemo(() => {
    const known = before.current;
    const now = new Map<string, FlowNode>();
    for (const node of shape.nodes) {
      const position = places.at[node.id];
      if (position === undefined) continue;
      const isFound = found === null ? null : found.has(node.id);
      const old = known.get(node.id);
      const same =
        old !== undefined &&
        old.position === position &&
        old.data.found === isFound &&
        old.selected === (node.id === selected) &&
        old.data.node.state === node.state &&
        old.data.node.label === node.label &&
        old.data.node.hidden === node.hidden &&
        old.data.node.within === node.within;
      // What stays the same is the same object, so that nothing of it is drawn again.
      now.set(node.id, same ? old : flowNode(node, position, isFound, node.id === selected));
    }
    before.current = now;
    return [...now.values()];
  }, [shape, places, selected, found]);
  const flow = useReactFlow();
  const frame = useRef<HTMLDivElement>(null);
  // Until it is known how much room there is nothing fits: all of many would be drawn one by one.
  const isFar =
    useStore((state) => state.width === 0 || state.transform[2] < FAR) && shape.nodes.length > MANY;
  const pick = (event: React.MouseEvent) => {
    const at = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY });
    const hit = isFar ? shape.nodes.find((node) => isIn(places.at[node.id], at)) : undefined;
    onSelect(hit?.id ?? null);
  };
  return (
    <ReactFlow
      ref={frame}
      nodes={isFar ? NONE : nodes}
      edges={[]}
      nodeTypes={NODE_TYPES}
      onNodeClick={(_, node) => onSelect(node.id)}
      onPaneClick={pick}
      // Not where the button is pressed: a click moves nothing.
      onMove={(event) => {
        if (event?.type === "mousemove") frame.current?.classList.add("dragged");
      }}
      onMoveEnd={() => frame.current?.classList.remove("dragged")}
      nodesDraggable={false}
      nodesConnectable={false}
      nodesFocusable={false}
      elementsSelectable={true}
      onlyRenderVisibleElements
      defaultViewport={{ x: 0, y: 0, zoom: shape.nodes.length > MANY ? FAR / 2 : 1 }}
      minZoom={0.02}
      maxZoom={2.5}
      proOptions={{ hideAttribution: true }}
      zoomOnDoubleClick={false}
      disableKeyboardA11y
    >
      <Edges shape={shape} places={places} selected={selected} />
      <Fitting places={places} selected={selected} />
      {isFar && <FarNodes shape={shape} places={places} selected={selected} found={found} />}
      <GraphCursor shape={shape} places={places} selected={selected} onSelect={onSelect} />
      <Controls showInteractive={false} fitViewOptions={FIT} />
    </ReactFlow>
  );
}

function flowNode(
  node: Shown["nodes"][number],
  position: { x: number; y: number },
  found: boolean | null,
  selected: boolean,
): FlowNode {
  return {
    id: node.id,
    type: "package",
    position,
    width: NODE_WIDTH,
    height: NODE_HEIGHT,
    // It is not measured again: all are of one size.
    measured: { width: NODE_WIDTH, height: NODE_HEIGHT },
    handles: [],
    selected,
    data: { node, found },
  };
}

/** Few paths for all edges, by where they are: what is not seen is not drawn. */
function Edges({ shape, places, selected }: Pick<Drawing, "shape" | "places" | "selected">) {
  const { edges } = shape;
  const aside = selected === null ? "" : "aside";
  const all = useMemo(
    () =>
      parts(edges, places).map((path) => (
        <path key={path.slice(0, 60)} d={path} className={aside} />
      )),
    [edges, places, aside],
  );
  // A line narrower than a point of the screen is drawn many times faster than an area.
  const width = useStore((state) => Math.min(EDGE_WIDTH, HAIR / state.transform[2]));
  const own = useMemo(
    () =>
      selected === null
        ? ""
        : edgePath({ edges }, places, (from, to) => from === selected || to === selected),
    [edges, places, selected],
  );
  return (
    <ViewportPortal>
      <svg
        className="graph-edges"
        width={places.width}
        height={places.height}
        viewBox={`0 0 ${places.width} ${places.height}`}
        strokeWidth={width}
        aria-hidden="true"
      >
        {all}
        {own !== "" && <path d={own} className="own" />}
      </svg>
    </ViewportPortal>
  );
}

function parts(edges: Shown["edges"], places: Places): string[] {
  const sorted = edges
    .map((edge) => ({ edge, ...(places.at[edge[0]] ?? { x: 0, y: 0 }) }))
    .sort((a, b) => a.x - b.x || a.y - b.y)
    .map(({ edge }) => edge);
  const found: string[] = [];
  for (let first = 0; first < sorted.length; first += TOGETHER) {
    found.push(edgePath({ edges: sorted.slice(first, first + TOGETHER) }, places));
  }
  return found;
}

/** Shows all of it once it has places; brings what is selected elsewhere into sight. */
function Fitting({ places, selected }: Pick<Drawing, "places" | "selected">) {
  const flow = useReactFlow();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const fitted = useRef<Places | null>(null);
  useEffect(() => {
    // Where people have zoomed to stays, also where a panel takes some of the width.
    if (width === 0 || places.width === 0 || fitted.current === places) return;
    fitted.current = places;
    const free = { width: width - CONTROLS - EDGE, height: height - 2 * EDGE };
    const fits = Math.min(free.width / places.width, free.height / places.height, MAX_ZOOM);
    // On a phone names are read from the beginning on: as a whole they would be specks.
    const zoom = width < NARROW ? Math.max(fits, FAR) : fits;
    const x = CONTROLS + Math.max(0, (free.width - places.width * zoom) / 2);
    const y = EDGE + Math.max(0, (free.height - places.height * zoom) / 2);
    flow.setViewport({ x, y, zoom });
  }, [flow, places, width, height]);
  useEffect(() => {
    const place = selected === null ? undefined : places.at[selected];
    if (place === undefined || width === 0) return;
    const { x, y, zoom } = flow.getViewport();
    const frame = document.querySelector(".package-graph .react-flow")?.getBoundingClientRect();
    if (frame === undefined) return;
    const [left, top] = [place.x * zoom + x, place.y * zoom + y];
    const isSeen = left >= 0 && top >= 0 && left < width - 40 && top < frame.height - 20;
    if (!isSeen) {
      flow.setCenter(place.x + NODE_WIDTH / 2, place.y + NODE_HEIGHT / 2, {
        zoom: Math.max(zoom, 0.8),
      });
    }
  }, [flow, places, selected, width]);
  return null;
}

function isIn(place: { x: number; y: number } | undefined, at: { x: number; y: number }): boolean {
  return (
    place !== undefined &&
    place.x <= at.x &&
    at.x <= place.x + NODE_WIDTH &&
    place.y <= at.y &&
    at.y <= place.y + NODE_HEIGHT
  );
}

/** From afar, where names can't be read: boxes alone, one path for each state. */
function FarNodes({ shape, places, selected, found }: Omit<Drawing, "onSelect">) {
  const paths = useMemo(() => {
    const drawn = new Map<string, string>();
    for (const node of shape.nodes) {
      const place = places.at[node.id];
      if (place === undefined) continue;
      const look =
        found === null ? node.state : `${node.state}${found.has(node.id) ? "" : " aside"}`;
      drawn.set(look, (drawn.get(look) ?? "") + box(place));
    }
    return [...drawn];
  }, [shape, places, found]);
  const chosen = selected === null ? undefined : places.at[selected];
  return (
    <ViewportPortal>
      <svg className="graph-far" width={places.width} height={places.height} aria-hidden="true">
        {paths.map(([look, path]) => (
          <path key={look} d={path} className={look} />
        ))}
        {chosen !== undefined && <path d={box(chosen)} className="selected" />}
      </svg>
    </ViewportPortal>
  );
}

function box({ x, y }: { x: number; y: number }): string {
  return `M${x} ${y}h${NODE_WIDTH}v${NODE_HEIGHT}h${-NODE_WIDTH}Z`;
}

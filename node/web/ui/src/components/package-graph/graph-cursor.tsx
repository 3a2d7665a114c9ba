import { useReactFlow, useStore, ViewportPortal } from "@xyflow/react";
import { useState } from "react";
import { NODE_HEIGHT, NODE_WIDTH, type Places } from "@/components/package-graph/places";
import { directoryOfNode, type Shown } from "@/components/package-graph/shape";
import { LOOKS } from "@/components/package-graph/states";
import { first, walk } from "@/components/package-graph/walk";

/**
 * Where the keyboard is in the drawing: one stop of Tab, from which arrow keys go from package to
 * package, and Enter opens one. It lies over the packages, so that it works from afar as well.
 */
export function GraphCursor({
  shape,
  places,
  selected,
  onSelect,
}: {
  shape: Shown;
  places: Places;
  selected: string | null;
  onSelect: (id: string) => void;
}) {
  const [gone, setGone] = useState<string | null>(null);
  const [isHere, setHere] = useState(false);
  const flow = useReactFlow();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const known = [gone, selected].find((id) => id !== null && places.at[id] !== undefined);
  const opened = gone === null ? null : directoryOfNode(gone);
  const inside = shape.nodes.find((one) => opened !== null && one.within === opened);
  const id = known ?? inside?.id ?? first(places.at);
  const place = id === null ? undefined : places.at[id];
  if (id === null || place === undefined) return null;
  // A directory that was opened is not there any more, and its packages have no places yet.
  const node = shape.nodes.find((one) => one.id === id);

  const go = (to: string) => {
    setGone(to);
    const { x, y, zoom } = flow.getViewport();
    const there = places.at[to];
    if (there === undefined) return;
    const [left, top] = [there.x * zoom + x, there.y * zoom + y];
    const isSeen =
      left >= 0 &&
      top >= 0 &&
      left + NODE_WIDTH * zoom <= width &&
      top + NODE_HEIGHT * zoom <= height;
    if (!isSeen) void flow.setCenter(there.x + NODE_WIDTH / 2, there.y + NODE_HEIGHT / 2, { zoom });
  };
  const words = node === undefined ? "laying out…" : `${node.label}: ${LOOKS[node.state].words}`;
  return (
    <ViewportPortal>
      <button
        type="button"
        className="graph-cursor"
        style={{ left: place.x, top: place.y, width: NODE_WIDTH, height: NODE_HEIGHT }}
        aria-label={words}
        aria-description="Arrow keys go to the packages beside it, and to what it needs and what needs it; Enter opens it"
        onFocus={() => setHere(true)}
        onBlur={() => setHere(false)}
        onKeyDown={(event) => {
          const to = walk(event.key, id, shape, places);
          if (to === null) return;
          event.preventDefault();
          go(to);
        }}
        onClick={() => {
          setGone(id);
          if (node !== undefined) onSelect(id);
        }}
      />
      {/* The name of what has the focus already is not said again by itself. */}
      <output className="unseen">{isHere ? words : ""}</output>
    </ViewportPortal>
  );
}

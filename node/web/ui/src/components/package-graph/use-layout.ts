import { useEffect, useMemo, useRef, useState } from "react";
import type { LayoutAsk } from "@/components/package-graph/layout";
import LayoutWorker from "@/components/package-graph/layout.worker?worker";
import type { Places } from "@/components/package-graph/places";
import type { Shown } from "@/components/package-graph/shape";

interface Told {
  number: number;
  places: Places;
}

/** Where each node goes; the last places until new ones are found, null before the first. */
export function useLayout(shape: Shown): { places: Places | null; busy: boolean } {
  const worker = useRef<Worker | null>(null);
  const [told, setTold] = useState<{ key: string; places: Places } | null>(null);
  const key = useMemo(() => keyOf(shape), [shape]);
  const asked = useRef({ number: 0, key });
  useEffect(() => {
    const mine = new LayoutWorker();
    mine.onmessage = (event: MessageEvent<Told>) => {
      if (event.data.number === asked.current.number) {
        setTold({ key: asked.current.key, places: event.data.places });
      }
    };
    worker.current = mine;
    return () => mine.terminate();
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: states change, the shape does not
  useEffect(() => {
    asked.current = { number: asked.current.number + 1, key };
    const ask: LayoutAsk = {
      number: asked.current.number,
      nodes: shape.nodes.map((node) => node.id),
      edges: shape.edges,
    };
    worker.current?.postMessage(ask);
  }, [key]);
  return { places: told?.places ?? null, busy: told?.key !== key };
}

/** Another text where another layout is needed: states alone change nothing. */
function keyOf(shape: Shown): string {
  return JSON.stringify([shape.nodes.map((node) => node.id), shape.edges]);
}

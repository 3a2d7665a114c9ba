import { Maximize2, Minus, Plus } from "lucide-react";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { duration } from "@/format/format";
import { pageColours } from "@/styles/colours";
import {
  AXIS,
  barAt,
  draw,
  GUTTER,
  msOf,
  type Picture,
  ROW,
  type Span,
} from "@/views/builds/timeline-draw";
import type { Bar, Rows } from "@/views/builds/timeline-rows";

const TALLEST = 460;
const SHORTEST_MS = 1;
/** Who moves the pointer so many pixels drags, and clicks nothing. */
const DRAG = 4;

/** The drawing: one canvas as large as what is seen, whatever the number of tasks. */
export function TimelineCanvas({
  rows,
  chosen,
  onChoose,
}: {
  rows: Rows;
  chosen: string | null;
  onChoose: (key: string | null) => void;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [top, setTop] = useState(0);
  const [wanted, setSpan] = useState<Span | null>(null);
  const [over, setOver] = useState<{ bar: Bar; x: number; y: number } | null>(null);
  const [theme, setTheme] = useState(0);
  const span = wanted ?? { from: 0, to: rows.end * 1.02 };
  const full = AXIS + rows.labels.length * ROW + 6;
  const height = Math.min(full, TALLEST);
  const picture = useRef<Picture | null>(null);
  const pressed = useRef<{ x: number; y: number } | null>(null);

  useEffect(() => {
    const seen = new ResizeObserver(([entry]) => setWidth(entry?.contentRect.width ?? 0));
    if (frame.current !== null) seen.observe(frame.current);
    // Another theme means other colours.
    const themes = new MutationObserver(() => setTheme((before) => before + 1));
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const system = matchMedia("(prefers-color-scheme: dark)");
    const change = () => setTheme((before) => before + 1);
    system.addEventListener("change", change);
    return () => {
      seen.disconnect();
      themes.disconnect();
      system.removeEventListener("change", change);
    };
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: drawn again in another theme
  useLayoutEffect(() => {
    const pen = canvas.current?.getContext("2d");
    if (canvas.current === null || !pen || width === 0) return;
    const scale = devicePixelRatio;
    canvas.current.width = Math.round(width * scale);
    canvas.current.height = Math.round(height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    const font = getComputedStyle(document.body).fontFamily;
    picture.current = { rows, span, top, width, height, chosen, colour: pageColours(), font };
    draw(pen, picture.current);
  }, [rows, span.from, span.to, top, width, height, chosen, theme]);

  const zoom = useCallback((factor: number, x: number | null) => {
    const seen = picture.current;
    if (seen === null) return;
    const at = msOf(seen, x ?? GUTTER + (seen.width - GUTTER) / 2);
    const most = seen.rows.end * 1.02;
    const long = Math.min(most, Math.max(SHORTEST_MS, (seen.span.to - seen.span.from) * factor));
    const share = (at - seen.span.from) / (seen.span.to - seen.span.from);
    const from = Math.min(Math.max(0, at - share * long), most - long);
    setSpan(long >= most ? null : { from, to: from + long });
  }, []);

  const move = useCallback((px: number) => {
    const seen = picture.current;
    if (seen === null) return;
    const long = seen.span.to - seen.span.from;
    const by = (px / (seen.width - GUTTER)) * long;
    const from = Math.min(
      Math.max(0, seen.span.from - by),
      Math.max(0, seen.rows.end * 1.02 - long),
    );
    setSpan({ from, to: from + long });
  }, []);

  useEffect(() => {
    const shown = canvas.current;
    // React's own wheel listeners can't keep the page from zooming.
    const wheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(Math.exp(event.deltaY * 0.004), event.offsetX);
    };
    shown?.addEventListener("wheel", wheel, { passive: false });
    return () => shown?.removeEventListener("wheel", wheel);
  }, [zoom]);

  const keys = (event: React.KeyboardEvent) => {
    if (event.key === "+" || event.key === "=") zoom(0.7, null);
    else if (event.key === "-") zoom(1.4, null);
    else if (event.key === "0") setSpan(null);
    else if (event.key === "ArrowLeft") move(80);
    else if (event.key === "ArrowRight") move(-80);
    else return;
    event.preventDefault();
  };

  const point = (event: React.PointerEvent) => {
    const place = canvas.current?.getBoundingClientRect();
    if (place === undefined || picture.current === null) return;
    const [x, y] = [event.clientX - place.left, event.clientY - place.top];
    if (event.buttons === 1) move(event.movementX);
    const bar = barAt(picture.current, x, y);
    setOver(bar === null ? null : { bar, x, y });
  };

  return (
    <div className="timeline-frame" ref={frame}>
      <div className="row timeline-buttons">
        <button
          type="button"
          className="button icon"
          aria-label="Zoom in"
          onClick={() => zoom(0.6, null)}
        >
          <Plus aria-hidden size={16} />
        </button>
        <button
          type="button"
          className="button icon"
          aria-label="Zoom out"
          onClick={() => zoom(1.7, null)}
        >
          <Minus aria-hidden size={16} />
        </button>
        <button
          type="button"
          className="button icon"
          aria-label="Show all of it"
          onClick={() => setSpan(null)}
        >
          <Maximize2 aria-hidden size={16} />
        </button>
      </div>
      <div
        className="timeline-scroll"
        style={{ height }}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <div style={{ height: full }}>
          <canvas
            ref={canvas}
            role="img"
            tabIndex={0}
            aria-label={`Timeline of ${rows.bars.length} tasks over ${duration(rows.end)}; the table below says the same in words`}
            style={{ height }}
            onKeyDown={keys}
            onPointerMove={point}
            onPointerLeave={() => setOver(null)}
            onPointerDown={(event) => {
              pressed.current = { x: event.clientX, y: event.clientY };
              event.currentTarget.setPointerCapture(event.pointerId);
            }}
            onClick={(event) => {
              const { x, y } = pressed.current ?? { x: event.clientX, y: event.clientY };
              if (Math.hypot(event.clientX - x, event.clientY - y) >= DRAG) return;
              onChoose(over?.bar.key ?? null);
            }}
          />
        </div>
      </div>
      {over !== null && <Tip over={over} width={width} />}
    </div>
  );
}

function Tip({ over, width }: { over: { bar: Bar; x: number; y: number }; width: number }) {
  const { bar, x, y } = over;
  return (
    <div
      className="timeline-tip"
      style={{ top: y + 56, ...(x > width / 2 ? { right: width - x + 12 } : { left: x + 12 }) }}
    >
      <strong>{bar.key}</strong> <span className="soft">on {bar.node}</span>
      <div>
        {bar.open ? "runs for" : bar.state}, {duration(bar.to - bar.from)}
        {bar.critical && ", on the critical path"}
      </div>
      {!bar.open &&
        bar.parts.map((part) => (
          <div key={`${part.name} ${part.from}`} className="row between">
            <span className="soft">{part.name}</span>
            <span>{duration(part.to - part.from)}</span>
          </div>
        ))}
    </div>
  );
}

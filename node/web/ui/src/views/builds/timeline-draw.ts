import { duration } from "@/format/format";
import { seen } from "@/format/seen";
import type { Token } from "@/styles/colours";
import type { Bar, PartName, Rows } from "@/views/builds/timeline-rows";

export const ROW = 22;
export const AXIS = 26;
export const GUTTER = 112;

/** Token of each part's colour. */
export const PART_COLOURS: Record<PartName, string> = {
  queue: "--calm",
  lookup: "--series-5",
  restore: "--series-3",
  transfer: "--series-4",
  staging: "--series-2",
  execution: "--series-1",
  upload: "--good",
};

/** What of the time is seen, in milliseconds since the build's beginning. */
export interface Span {
  from: number;
  to: number;
}

export interface Picture {
  rows: Rows;
  span: Span;
  /** How far it is scrolled down. */
  top: number;
  width: number;
  height: number;
  chosen: string | null;
  colour: Token;
  font: string;
}

function xOf(picture: Pick<Picture, "span" | "width">, ms: number): number {
  const { from, to } = picture.span;
  return GUTTER + ((ms - from) / (to - from)) * (picture.width - GUTTER);
}

export function msOf(picture: Pick<Picture, "span" | "width">, x: number): number {
  const { from, to } = picture.span;
  return from + ((x - GUTTER) / (picture.width - GUTTER)) * (to - from);
}

/** The bar at a point; the one in front, where several lie there. */
export function barAt(picture: Picture, x: number, y: number): Bar | null {
  if (x < GUTTER || y < AXIS) return null;
  const row = Math.floor((y - AXIS + picture.top) / ROW);
  const at = msOf(picture, x);
  const slack = (2 / (picture.width - GUTTER)) * (picture.span.to - picture.span.from);
  const found = picture.rows.bars.filter(
    (bar) => bar.row === row && bar.from - slack <= at && at <= bar.to + slack,
  );
  return (
    found.findLast((bar) => bar.parts.some((part) => isWork(part.name) && part.from <= at)) ??
    found.at(-1) ??
    null
  );
}

export function draw(pen: CanvasRenderingContext2D, picture: Picture): void {
  const { rows, width, height, top, colour } = picture;
  pen.clearRect(0, 0, width, height);
  pen.font = `12px ${picture.font}`;
  pen.textBaseline = "middle";
  const first = Math.floor(top / ROW) - 1;
  const last = first + Math.ceil(height / ROW) + 2;
  pen.save();
  pen.beginPath();
  pen.rect(0, AXIS, width, height - AXIS);
  pen.clip();
  drawGrid(pen, picture);
  for (const bar of rows.bars)
    if (isSeen(bar, picture, first, last)) drawWaiting(pen, picture, bar);
  for (const bar of rows.bars) if (isSeen(bar, picture, first, last)) drawBar(pen, picture, bar);
  drawPath(pen, picture);
  drawLabels(pen, picture, first, last);
  pen.restore();
  drawAxis(pen, picture);
  pen.fillStyle = colour("--line");
  pen.fillRect(GUTTER - 1, 0, 1, height);
}

function isWork(name: PartName): boolean {
  return name !== "queue";
}

function isSeen(bar: Bar, { span }: Picture, first: number, last: number): boolean {
  return bar.row >= first && bar.row <= last && bar.to >= span.from && bar.from <= span.to;
}

function yOf(picture: Picture, row: number): number {
  return AXIS + row * ROW - picture.top;
}

function drawWaiting(pen: CanvasRenderingContext2D, picture: Picture, bar: Bar): void {
  const y = yOf(picture, bar.row) + ROW / 2 - 1;
  pen.fillStyle = picture.colour(PART_COLOURS.queue);
  pen.globalAlpha = 0.55;
  for (const part of bar.parts) {
    if (isWork(part.name)) continue;
    const x = Math.max(GUTTER, xOf(picture, part.from));
    pen.fillRect(x, y, Math.max(0, xOf(picture, part.to) - x), 2);
  }
  pen.globalAlpha = 1;
}

function drawBar(pen: CanvasRenderingContext2D, picture: Picture, bar: Bar): void {
  const y = yOf(picture, bar.row) + 3;
  const tall = ROW - 6;
  let [left, right] = [Number.POSITIVE_INFINITY, 0];
  let widest = { x: 0, width: 0 };
  for (const part of bar.parts) {
    if (!isWork(part.name)) continue;
    const x = Math.max(GUTTER, xOf(picture, part.from));
    const end = Math.max(x + 1, xOf(picture, part.to));
    left = Math.min(left, x);
    right = Math.max(right, end);
    if (end - x > widest.width) widest = { x, width: end - x };
    pen.fillStyle = picture.colour(PART_COLOURS[part.name]);
    pen.globalAlpha = bar.open ? 0.45 : 1;
    pen.fillRect(x, y, end - x, tall);
  }
  pen.globalAlpha = 1;
  if (right <= GUTTER) return;
  if (bar.state === "failed") outline(pen, picture.colour("--bad"), left, y, right - left, tall, 2);
  if (bar.critical) outline(pen, picture.colour("--text"), left, y, right - left, tall, 1.5);
  if (bar.key === picture.chosen) {
    outline(pen, picture.colour("--accent"), left - 2, y - 2, right - left + 4, tall + 4, 2.5);
  }
  // Its name stands in its longest part: another bar may lie where it only waits.
  if (widest.width > 48) {
    pen.save();
    pen.beginPath();
    pen.rect(widest.x, y, widest.width - 3, tall);
    pen.clip();
    pen.fillStyle = picture.colour(bar.open ? "--text" : "--surface");
    pen.fillText(seen(bar.key), widest.x + 5, y + tall / 2 + 0.5);
    pen.restore();
  }
}

function outline(
  pen: CanvasRenderingContext2D,
  colour: string,
  x: number,
  y: number,
  wide: number,
  tall: number,
  line: number,
): void {
  pen.strokeStyle = colour;
  pen.lineWidth = line;
  pen.strokeRect(x, y, wide, tall);
}

/** A line from each task of the critical path to the following one. */
function drawPath(pen: CanvasRenderingContext2D, picture: Picture): void {
  const steps = picture.rows.bars.filter((bar) => bar.critical).sort((a, b) => a.to - b.to);
  pen.strokeStyle = picture.colour("--text");
  pen.lineWidth = 1;
  pen.setLineDash([3, 3]);
  pen.beginPath();
  steps.forEach((bar, place) => {
    const next = steps[place + 1];
    if (next === undefined) return;
    const work = next.parts.find((part) => isWork(part.name))?.from ?? next.from;
    pen.moveTo(Math.max(GUTTER, xOf(picture, bar.to)), yOf(picture, bar.row) + ROW / 2);
    pen.lineTo(Math.max(GUTTER, xOf(picture, work)), yOf(picture, next.row) + ROW / 2);
  });
  pen.stroke();
  pen.setLineDash([]);
}

function drawLabels(
  pen: CanvasRenderingContext2D,
  picture: Picture,
  first: number,
  last: number,
): void {
  pen.fillStyle = picture.colour("--surface");
  pen.fillRect(0, AXIS, GUTTER - 1, picture.height);
  picture.rows.labels.forEach((label, row) => {
    if (row < first || row > last) return;
    const y = yOf(picture, row);
    if (label !== "" && row > 0) {
      pen.fillStyle = picture.colour("--line");
      pen.fillRect(0, y - 0.5, picture.width, 1);
    }
    pen.fillStyle = picture.colour("--text");
    pen.fillText(seen(label), 8, y + ROW / 2, GUTTER - 16);
  });
}

function drawGrid(pen: CanvasRenderingContext2D, picture: Picture): void {
  pen.fillStyle = picture.colour("--line");
  for (const at of ticks(picture))
    pen.fillRect(Math.round(xOf(picture, at)), AXIS, 1, picture.height);
}

function drawAxis(pen: CanvasRenderingContext2D, picture: Picture): void {
  pen.fillStyle = picture.colour("--raised");
  pen.fillRect(0, 0, picture.width, AXIS);
  pen.fillStyle = picture.colour("--text-soft");
  for (const at of ticks(picture)) pen.fillText(duration(at), xOf(picture, at) + 4, AXIS / 2 + 1);
}

/** Round times, about 90 pixels from each other. */
export function ticks({ span, width }: Pick<Picture, "span" | "width">): number[] {
  const wanted = ((span.to - span.from) * 90) / Math.max(1, width - GUTTER);
  const power = 10 ** Math.floor(Math.log10(Math.max(wanted, 0.001)));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= wanted) ?? power;
  const found: number[] = [];
  for (let at = Math.ceil(span.from / step) * step; at <= span.to; at += step) found.push(at);
  return found;
}

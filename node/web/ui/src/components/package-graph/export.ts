import { NODE_HEIGHT, NODE_WIDTH, type Places, routeKey } from "@/components/package-graph/places";
import type { Shown, ShownNode } from "@/components/package-graph/shape";
import { LOOKS } from "@/components/package-graph/states";
import type { Token } from "@/styles/colours";

const MARGIN = 24;
const MOST_PIXELS = 32_000_000;
const MOST_SIDE = 16_000;
const CHARACTER = 7.3;

/** A drawing that stands alone: nothing in it comes from the page or from elsewhere. */
export function toSvg(shape: Shown, places: Places, colour: Token, title: string): string {
  const width = Math.ceil(places.width + 2 * MARGIN);
  const height = Math.ceil(places.height + 2 * MARGIN);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="${-MARGIN} ${-MARGIN} ${width} ${height}">`,
    `<title>${escaped(title)}</title>`,
    `<rect x="${-MARGIN}" y="${-MARGIN}" width="${width}" height="${height}" fill="${colour("--ground")}"/>`,
    `<path d="${edgePath(shape, places)}" fill="none" stroke="${colour("--line-strong")}" stroke-width="1.2"/>`,
    ...shape.nodes.map((node) => nodeSvg(node, places, colour)),
    "</svg>",
  ];
  return parts.join("\n");
}

/** All edges as one path: a thousand elements less. */
export function edgePath(
  shape: Pick<Shown, "edges">,
  places: Places,
  wanted: (from: string, to: string) => boolean = () => true,
): string {
  let path = "";
  for (const [from, to] of shape.edges) {
    const start = places.at[from];
    const end = places.at[to];
    if (start === undefined || end === undefined || !wanted(from, to)) continue;
    let [x, y]: readonly [number, number] = [start.x + NODE_WIDTH, start.y + NODE_HEIGHT / 2];
    path += `M${x} ${y}`;
    const way = [
      ...(places.routes[routeKey(from, to)] ?? []),
      [end.x, end.y + NODE_HEIGHT / 2] as const,
    ];
    for (const [nextX, nextY] of way) {
      const bend = Math.max(way.length > 1 ? 0 : 24, Math.abs(nextX - x) / 2);
      path += `C${x + bend} ${y} ${nextX - bend} ${nextY} ${nextX} ${nextY}`;
      [x, y] = [nextX, nextY];
    }
  }
  return path;
}

function nodeSvg(node: ShownNode, places: Places, colour: Token): string {
  const place = places.at[node.id];
  if (place === undefined) return "";
  const look = LOOKS[node.state];
  const ink = colour(look.colour);
  const picture = look.filled
    ? `fill="${ink}"`
    : `fill="none" stroke="${ink}" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"`;
  return [
    `<g transform="translate(${place.x} ${place.y})"><title>${escaped(`${node.label}: ${look.words}`)}</title>`,
    `<rect width="${NODE_WIDTH}" height="${NODE_HEIGHT}" rx="6" fill="${colour("--surface")}" stroke="${ink}" stroke-width="1.5"/>`,
    `<path transform="translate(10 9)" d="${look.path}" ${picture}/>`,
    `<text x="34" y="22" font-family="system-ui, sans-serif" font-size="13" fill="${colour("--text")}">${escaped(shortened(node.label))}</text></g>`,
  ].join("");
}

/** The beginning and the end of a long name: the end tells more. */
export function shortened(label: string): string {
  const most = Math.floor((NODE_WIDTH - 42) / CHARACTER);
  if (label.length <= most) return label;
  const head = Math.floor((most - 1) / 3);
  return `${label.slice(0, head)}…${label.slice(label.length - (most - 1 - head))}`;
}

function escaped(text: string): string {
  return text.replace(
    /[&<>"']/g,
    (one) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[one] ?? one,
  );
}

/** Draw it twice as large as on the page, or as large as a browser's canvas can be. */
export async function toPng(svg: string): Promise<Blob> {
  const picture = new Image();
  const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    picture.src = address;
    await picture.decode();
    const { width, height } = picture;
    const scale = Math.min(
      2,
      MOST_SIDE / width,
      MOST_SIDE / height,
      Math.sqrt(MOST_PIXELS / (width * height)),
    );
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    if (pen === null) throw new Error("this browser draws no pictures");
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, failed) =>
      canvas.toBlob((blob) =>
        blob === null ? failed(new Error("the picture is too large for this browser")) : done(blob),
      ),
    );
  } finally {
    URL.revokeObjectURL(address);
  }
}

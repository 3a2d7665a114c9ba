import type { Links } from "@/views/topology/links";

/** Up to so many nodes stand in a circle; more stand in groups of those that are near each other. */
export const CIRCLE_UP_TO = 12;
/** A link that still carries small actions: see the grade "good". */
const NEAR_MS = 10;

interface Placed {
  id: string;
  x: number;
  y: number;
}

/** Nodes that are near each other; `x`, `y`, `width` and `height` of their frame. */
interface Group {
  ids: string[];
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Layout {
  nodes: Placed[];
  groups: Group[];
  card: Size;
  /** Of all of it. */
  height: number;
}

interface Size {
  width: number;
  height: number;
}

/** What a node takes: with its status in words, or where there is less room as a picture. */
export const CARD: Size = { width: 152, height: 62 };
const SMALL_CARD: Size = { width: 100, height: 34 };
/** A picture narrower than this has small cards, and circles of a few nodes alone. */
const NARROW = 640;
const NARROW_CIRCLE_UP_TO = 6;
const FRAME = { padding: 12, title: 26, gap: 22 };

/** Where each node stands in a picture so wide; `ids` in the order in which people look for them. */
export function layout(ids: readonly string[], links: Links, width: number): Layout {
  const isNarrow = width < NARROW;
  if (ids.length <= (isNarrow ? NARROW_CIRCLE_UP_TO : CIRCLE_UP_TO)) {
    return circle(ids, isNarrow ? SMALL_CARD : CARD);
  }
  return grouped(nearGroups(ids, links), width);
}

function circle(ids: readonly string[], card: Size): Layout {
  const radius =
    ids.length < 2 ? 0 : Math.max(card.width, (ids.length * (card.width + card.height)) / 5);
  const nodes = ids.map((id, place) => {
    const angle = (place / ids.length) * 2 * Math.PI - Math.PI / 2;
    return { id, x: radius * 1.25 * Math.cos(angle), y: radius * 0.85 * Math.sin(angle) };
  });
  const height = 2 * 0.85 * radius + card.height;
  return { nodes, groups: [], card, height: Math.max(height, card.width * 2.5) };
}

/** Groups in which each node is near one other at least; the largest first. */
export function nearGroups(ids: readonly string[], links: Links): string[][] {
  const parent = new Map(ids.map((id) => [id, id]));
  const root = (id: string): string => {
    const up = parent.get(id);
    if (up === undefined || up === id) return id;
    const top = root(up);
    parent.set(id, top); // the way is short from now on: there may be thousands of links
    return top;
  };
  for (const link of links.all) {
    if (!parent.has(link.from) || !parent.has(link.to)) continue;
    if (link.latencyMs !== null && link.latencyMs <= NEAR_MS) {
      parent.set(root(link.from), root(link.to));
    }
  }
  const groups = new Map<string, string[]>();
  for (const id of ids) {
    const group = groups.get(root(id));
    if (group === undefined) groups.set(root(id), [id]);
    else group.push(id);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length);
}

/** Each group is a grid in a frame as wide as its nodes need; frames stand in rows. */
function grouped(all: readonly string[][], width: number): Layout {
  const card = SMALL_CARD;
  const gap = 10;
  const most = Math.max(1, Math.floor((width - 2 * FRAME.padding + gap) / (card.width + gap)));
  const nodes: Placed[] = [];
  const groups: Group[] = [];
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  for (const ids of all) {
    // Wide enough for its title, and for rows that are not longer than half of the picture.
    const columns = Math.min(most, ids.length, Math.max(2, Math.ceil(Math.sqrt(ids.length * 2))));
    const rows = Math.ceil(ids.length / columns);
    const frameWidth = columns * (card.width + gap) - gap + 2 * FRAME.padding;
    const frameHeight = rows * (card.height + gap) - gap + 2 * FRAME.padding + FRAME.title;
    if (x > 0 && x + frameWidth > width) {
      x = 0;
      y += rowHeight + FRAME.gap;
      rowHeight = 0;
    }
    groups.push({ ids, x, y, width: frameWidth, height: frameHeight });
    for (const [place, id] of ids.entries()) {
      nodes.push({
        id,
        x: x + FRAME.padding + (place % columns) * (card.width + gap),
        y: y + FRAME.title + FRAME.padding + Math.floor(place / columns) * (card.height + gap),
      });
    }
    x += frameWidth + FRAME.gap;
    rowHeight = Math.max(rowHeight, frameHeight);
  }
  return { nodes, groups, card, height: y + rowHeight };
}

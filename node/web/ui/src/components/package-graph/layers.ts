import { NODE_HEIGHT, NODE_WIDTH } from "@/components/package-graph/places";

const RANK_GAP = 72;
const ROW = NODE_HEIGHT + 12;
const COLUMN = NODE_WIDTH + 20;
const SWEEPS = 4;

type Edges = readonly (readonly [string, string])[];
type Neighbours = ReadonlyMap<string, readonly string[]>;

/**
 * Where each of many nodes lies: in layers, and in a layer beside what it is linked with. Each layer
 * is laid in columns beside each other, as one of hundreds would make a drawing like a ribbon.
 */
export function layered(nodes: readonly string[], edges: Edges) {
  const before = neighbours(edges, 1);
  const after = neighbours(edges, 0);
  const layers = layersOf(nodes, before, after);
  const tallest = Math.ceil(Math.sqrt(nodes.length) * 1.2);
  const widths = layers.map((layer) => Math.ceil(layer.length / tallest));
  const y = new Map(nodes.map((id) => [id, 0]));
  const settle = (layer: string[], place: number) => {
    const columns = widths[place] ?? 1;
    const middle = (Math.ceil(layer.length / columns) - 1) / 2;
    for (const [at, id] of layer.entries()) y.set(id, (Math.floor(at / columns) - middle) * ROW);
  };
  layers.forEach(settle);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const linked of [before, after]) {
      const order = layers.map((layer, place) => [layer, place] as const);
      for (const [layer, place] of linked === before ? order : order.reverse()) {
        sortBy(layer, (id) => middleOf(linked.get(id), y) ?? y.get(id) ?? 0);
        settle(layer, place);
      }
    }
  }
  let x = 0;
  return layers.flatMap((layer, place) => {
    const [left, columns] = [x, widths[place] ?? 1];
    x += columns * COLUMN - (COLUMN - NODE_WIDTH) + RANK_GAP;
    return layer.map((id, at) => ({
      id,
      x: left + (at % columns) * COLUMN,
      y: y.get(id) ?? 0,
    }));
  });
}

/** Of each node those at the other ends of its edges: 1: before it, 0: after it. */
function neighbours(edges: Edges, end: 0 | 1): Neighbours {
  const found = new Map<string, string[]>();
  for (const edge of edges) {
    const known = found.get(edge[end]);
    if (known === undefined) found.set(edge[end], [edge[1 - end] as string]);
    else known.push(edge[1 - end] as string);
  }
  return found;
}

/** Each node right of all before it, and no further from those after it than it must be. */
function layersOf(nodes: readonly string[], before: Neighbours, after: Neighbours): string[][] {
  const order = inOrder(nodes, before);
  const place = new Map(order.map((id, at) => [id, at]));
  const rank = new Map<string, number>();
  // Where there is a circle, an edge that leads back is left out.
  const isBack = (from: string, to: string) => (place.get(from) ?? 0) > (place.get(to) ?? 0);
  for (const id of order) {
    const ranks = (before.get(id) ?? []).map((one) =>
      isBack(one, id) ? -1 : (rank.get(one) ?? -1),
    );
    rank.set(id, Math.max(-1, ...ranks) + 1);
  }
  for (const id of order.reverse()) {
    const next = (after.get(id) ?? []).filter((one) => !isBack(id, one));
    if (next.length > (before.get(id)?.length ?? 0)) {
      rank.set(id, Math.min(...next.map((one) => rank.get(one) ?? 0)) - 1);
    }
  }
  const layers: string[][] = [];
  for (const id of nodes) {
    const at = rank.get(id) ?? 0;
    layers[at] ??= [];
    layers[at].push(id);
  }
  return layers.filter((layer) => layer.length > 0);
}

/** All nodes, each after what is before it, as far as there is no circle. */
function inOrder(nodes: readonly string[], before: Neighbours): string[] {
  const found = new Set<string>();
  const begun = new Set<string>();
  for (const start of nodes) {
    const waiting = [start];
    for (let id = waiting.at(-1); id !== undefined; id = waiting.at(-1)) {
      const open = begun.has(id) ? [] : (before.get(id) ?? []).filter((one) => !begun.has(one));
      begun.add(id);
      if (open.length > 0) waiting.push(...open);
      else {
        waiting.pop();
        found.add(id);
      }
    }
  }
  return [...found];
}

function sortBy(ids: string[], key: (id: string) => number) {
  const keys = new Map(ids.map((id) => [id, key(id)]));
  ids.sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0));
}

function middleOf(ids: readonly string[] | undefined, y: ReadonlyMap<string, number>) {
  if (ids === undefined) return null;
  return ids.reduce((sum, id) => sum + (y.get(id) ?? 0), 0) / ids.length;
}

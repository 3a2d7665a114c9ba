import dagre from "@dagrejs/dagre";
import { layered } from "@/components/package-graph/layers";
import { NODE_HEIGHT, NODE_WIDTH, type Places, routeKey } from "@/components/package-graph/places";

const RANK_GAP = 72;
const NODE_GAP = 12;
/** From so many on a faster way is used, and edges go straight to where they end. */
const LARGE = 150;

export interface LayoutAsk {
  number: number;
  nodes: readonly string[];
  edges: readonly (readonly [string, string])[];
}

/** In layers from the left to the right: what is needed stands to the left of who needs it. */
export function layout(ask: Pick<LayoutAsk, "nodes" | "edges">): Places {
  if (ask.nodes.length > LARGE) return enclosed(layered(ask.nodes, ask.edges));
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({
    rankdir: "LR",
    ranksep: RANK_GAP,
    nodesep: NODE_GAP,
    ranker: "network-simplex",
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const id of ask.nodes) graph.setNode(id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const [from, to] of essential(ask.edges)) graph.setEdge(from, to);
  dagre.layout(graph);
  const placed = ask.nodes.map((id) => {
    const { x, y } = graph.node(id);
    return { id, x: x - NODE_WIDTH / 2, y: y - NODE_HEIGHT / 2 };
  });
  return enclosed(placed, routesOf(graph));
}

/**
 * The edges that no way over others replaces. The rest would only push packages apart; it is drawn
 * without a place of its own.
 */
export function essential(edges: LayoutAsk["edges"]): LayoutAsk["edges"] {
  const next = new Map<string, Set<string>>();
  for (const [from, to] of edges) {
    const known = next.get(from);
    if (known === undefined) next.set(from, new Set([to]));
    else known.add(to);
  }
  return edges.filter(([from, to]) => {
    const others = next.get(from);
    if (others === undefined || others.size < 2) return true;
    others.delete(to);
    if (isReached(from, to, next)) return false;
    others.add(to);
    return true;
  });
}

function isReached(
  from: string,
  to: string,
  next: ReadonlyMap<string, ReadonlySet<string>>,
): boolean {
  const seen = new Set([from]);
  const waiting = [from];
  for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
    for (const each of next.get(one) ?? []) {
      if (each === to) return true;
      if (!seen.has(each)) {
        seen.add(each);
        waiting.push(each);
      }
    }
  }
  return false;
}

interface Way {
  points: { x: number; y: number }[];
}

type Routes = Map<string, Way["points"]>;

function routesOf(graph: InstanceType<typeof dagre.graphlib.Graph>): Routes {
  return new Map(
    graph.edges().map((edge) => [routeKey(edge.v, edge.w), (graph.edge(edge) as Way).points]),
  );
}

interface Placed {
  id: string;
  x: number;
  y: number;
}

function enclosed(placed: readonly Placed[], ways: Routes = new Map()): Places {
  const left = Math.min(...placed.map((one) => one.x));
  const top = Math.min(...placed.map((one) => one.y));
  const at: Places["at"] = {};
  let width = 0;
  let height = 0;
  for (const one of placed) {
    const place = { x: one.x - left, y: one.y - top };
    at[one.id] = place;
    width = Math.max(width, place.x + NODE_WIDTH);
    height = Math.max(height, place.y + NODE_HEIGHT);
  }
  const routes: Places["routes"] = {};
  for (const [key, way] of ways) {
    // What lies on the edges of nodes is left out: edges begin and end in their middle.
    routes[key] = way.slice(1, -1).map(({ x, y }) => [x - left, y - top] as const);
  }
  return { width, height, at, routes };
}

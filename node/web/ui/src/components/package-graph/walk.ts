import { NODE_WIDTH, type Places } from "@/components/package-graph/places";
import type { Shown } from "@/components/package-graph/shape";

type At = { x: number; y: number };

/**
 * Where a key leads from a package: left and right along what it needs and what needs it, up and down
 * to those beside it, and on to the next column: so each is reached, whatever it is linked with. null:
 * that key leads nowhere; `from` itself where there is nothing further.
 */
export function walk(
  key: string,
  from: string,
  { edges }: Pick<Shown, "edges">,
  { at }: Pick<Places, "at">,
): string | null {
  const here = at[from];
  if (here === undefined) return null;
  const linked = edges.flatMap(([a, b]) => (a === from ? [b] : b === from ? [a] : []));
  const all = Object.keys(at);
  const place = (id: string): At => at[id] ?? here;
  const isBeside = (id: string) => Math.abs(place(id).x - here.x) < NODE_WIDTH / 2;
  switch (key) {
    case "ArrowLeft":
      return nearest(
        from,
        here,
        linked.filter((id) => place(id).x < here.x),
        place,
      );
    case "ArrowRight":
      return nearest(
        from,
        here,
        linked.filter((id) => place(id).x > here.x),
        place,
      );
    case "ArrowUp": {
      const above = all.filter((id) => isBeside(id) && place(id).y < here.y);
      if (above.length > 0) return nearest(from, here, above, place);
      const ahead = all.filter((id) => !isBeside(id) && place(id).x < here.x);
      return inOrder(ahead, place).at(-1) ?? from;
    }
    case "ArrowDown": {
      const below = all.filter((id) => isBeside(id) && place(id).y > here.y);
      if (below.length > 0) return nearest(from, here, below, place);
      const behind = all.filter((id) => !isBeside(id) && place(id).x > here.x);
      return inOrder(behind, place)[0] ?? from;
    }
    case "Home":
      return first(at);
    default:
      return null;
  }
}

/** Where the keyboard comes in: the package at the upper left. */
export function first(at: Places["at"]): string | null {
  return inOrder(Object.keys(at), (id) => at[id] as At)[0] ?? null;
}

/** Column by column, each from its top. */
function inOrder(ids: readonly string[], place: (id: string) => At): string[] {
  return [...ids].sort((a, b) => place(a).x - place(b).x || place(a).y - place(b).y);
}

function nearest(
  from: string,
  here: At,
  ids: readonly string[],
  place: (id: string) => At,
): string {
  let found = from;
  let least = Number.POSITIVE_INFINITY;
  for (const id of ids) {
    const far = Math.hypot(place(id).x - here.x, place(id).y - here.y);
    if (far < least) [found, least] = [id, far];
  }
  return found;
}

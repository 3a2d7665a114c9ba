import { NODE_WIDTH, type Places } from "@/components/package-graph/places";
import type { Shown } from "@/components/package-graph/shape";

type At = { x: number; y: number };

/**
 * Where a key leads from a package: left and right along what it needs and what needs it, up and down
 * to those beside it. null: that key leads nowhere; `from` itself where there is nothing further.
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
    case "ArrowUp":
      return nearest(
        from,
        here,
        all.filter((id) => isBeside(id) && place(id).y < here.y),
        place,
      );
    case "ArrowDown":
      return nearest(
        from,
        here,
        all.filter((id) => isBeside(id) && place(id).y > here.y),
        place,
      );
    case "Home":
      return first(at);
    default:
      return null;
  }
}

/** Where the keyboard comes in: the package at the upper left. */
export function first(at: Places["at"]): string | null {
  const ids = Object.keys(at).sort((a, b) => {
    const [one, other] = [at[a] as At, at[b] as At];
    return one.x - other.x || one.y - other.y;
  });
  return ids[0] ?? null;
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

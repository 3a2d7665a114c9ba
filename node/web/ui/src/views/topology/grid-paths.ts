import type { Grade, Links } from "@/views/topology/links";

type CellGrade = Grade | "unknown" | "self";

/** For each grade one path of SVG with all its cells: ten thousand cells are a handful of elements. */
export function cellPaths(
  ids: readonly string[],
  links: Links,
  size: number,
): Partial<Record<CellGrade, string>> {
  const parts = new Map<CellGrade, string[]>();
  for (const [row, one] of ids.entries()) {
    for (const [column, other] of ids.entries()) {
      const grade = row === column ? "self" : (links.between(one, other)?.grade ?? "unknown");
      const cell = `M${column * size} ${row * size}h${size}v${size}h-${size}z`;
      const known = parts.get(grade);
      if (known === undefined) parts.set(grade, [cell]);
      else known.push(cell);
    }
  }
  return Object.fromEntries([...parts].map(([grade, cells]) => [grade, cells.join("")]));
}

/** How far each arrow key leads: rows, columns. */
export const MOVES: Record<string, readonly [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

import type { BuildItem } from "@/live/items";

/** How many milliseconds a build still takes by its estimate, down to whole seconds; null: unknown. */
export function leftMs(
  build: Pick<BuildItem, "started_at" | "estimated_ms">,
  now: number,
): number | null {
  if (build.estimated_ms === null) return null;
  const left = Date.parse(build.started_at) + build.estimated_ms - now;
  return Math.max(0, Math.ceil(left / 1_000) * 1_000);
}

/** Sizes of what is drawn, in the units of the drawing. */
export const NODE_WIDTH = 176;
export const NODE_HEIGHT = 34;

/** Where nodes lie: their upper left corners. */
export interface Places {
  width: number;
  height: number;
  at: Record<string, { x: number; y: number }>;
  /** The way of each edge around what lies between, by `routeKey`; none: straight to its end. */
  routes: Record<string, readonly (readonly [number, number])[]>;
}

export function routeKey(from: string, to: string): string {
  return `${from}\n${to}`;
}

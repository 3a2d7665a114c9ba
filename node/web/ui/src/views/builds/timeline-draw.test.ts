import { expect, it } from "vitest";
import { draw, type Picture } from "@/views/builds/timeline-draw";
import type { Bar } from "@/views/builds/timeline-rows";

it("draws each character of the names of nodes and tasks", () => {
  const written: string[] = [];
  const pen = new Proxy({} as CanvasRenderingContext2D, {
    get: (_, name) => (name === "fillText" ? (text: string) => written.push(text) : () => {}),
    set: () => true,
  });
  const part = { name: "execution", from: 0, to: 10 } as const;
  const bar = { key: "shop\u202etxt", parts: [part], from: 0, to: 10, row: 0 } as unknown as Bar;
  draw(pen, {
    rows: { bars: [bar], labels: ["an\u200bna"], end: 10 },
    span: { from: 0, to: 10 },
    top: 0,
    width: 600,
    height: 100,
    chosen: null,
    colour: () => "black",
    font: "sans-serif",
  } satisfies Picture);
  expect(written).toContain("shop[U+202E]txt");
  expect(written).toContain("an[U+200B]na");
});

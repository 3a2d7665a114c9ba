import { fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { TimelineCanvas } from "@/views/builds/timeline-canvas";
import type { Rows } from "@/views/builds/timeline-rows";

class Nothing {
  observe() {}
  disconnect() {}
}

it("chooses by a click, and nothing at the end of a drag", () => {
  vi.stubGlobal("ResizeObserver", Nothing);
  vi.stubGlobal("matchMedia", () => ({
    addEventListener: () => {},
    removeEventListener: () => {},
  }));
  HTMLCanvasElement.prototype.getContext = () => null;
  HTMLCanvasElement.prototype.setPointerCapture = () => {};
  const onChoose = vi.fn();
  const rows = { bars: [], labels: [], end: 10 } as unknown as Rows;
  render(<TimelineCanvas rows={rows} chosen={null} onChoose={onChoose} />);
  const canvas = screen.getByRole("img");
  const press = (moved: number) => {
    fireEvent.pointerDown(canvas, { pointerId: 1, clientX: 50 });
    fireEvent.pointerMove(canvas, { pointerId: 1, buttons: 1, clientX: 50 + moved });
    fireEvent.click(canvas, { clientX: 50 + moved });
  };
  press(60);
  expect(onChoose).not.toHaveBeenCalled();
  press(1);
  expect(onChoose).toHaveBeenCalledTimes(1);
});

import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { points, type Sample, Sparkline, sampled } from "@/views/nodes/sparkline";

function at(minute: number, cpu: number) {
  const measured_at = new Date(minute * 60_000).toISOString();
  return { measured_at, cpu_percent: cpu, memory_percent: 50, load_average: null, disks: [] };
}

it("keeps each measurement once, and ten minutes of them", () => {
  let samples: Sample[] = [];
  for (const minute of [0, 1, 1, 5, 10.5]) samples = sampled(samples, at(minute, minute));
  expect(samples.map((sample) => sample.cpu)).toEqual([1, 5, 10.5]);
  expect(sampled(samples, null)).toBe(samples);
});

it("draws them over their time, and leaves out what was not measured", () => {
  const samples = [
    { at: 0, cpu: 0, memory: null },
    { at: 30, cpu: 50, memory: 25 },
    { at: 60, cpu: 100, memory: 100 },
  ];
  expect(points(samples, "cpu")).toBe("0.0,60.0 150.0,30.0 300.0,0.0");
  expect(points(samples, "memory")).toBe("150.0,45.0 300.0,0.0");
});

it("says how busy the CPU is, or that nobody knows", () => {
  const before = { at: 0, cpu: 10, memory: 20 };
  const { rerender } = render(
    <Sparkline samples={[before, { at: 60_000, cpu: null, memory: 30 }]} />,
  );
  const label = () => screen.getByRole("img").getAttribute("aria-label");
  expect(label()).toBe("CPU and memory over the last 1 min: CPU unknown now");
  rerender(<Sparkline samples={[before, { at: 60_000, cpu: 12.4, memory: 30 }]} />);
  expect(label()).toContain("CPU 12 % now");
});

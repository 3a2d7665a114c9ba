import type { Schema } from "@/api/client";
import { duration } from "@/format/format";

const WIDTH = 120;
const HEIGHT = 24;

/** The latest times of a command as a small curve, the newest on the right. */
export function Sparkline({ points }: { points: readonly Schema["TrendPoint"][] }) {
  const times = [...points].sort((a, b) => a.started_at - b.started_at);
  if (times.length < 2) {
    return <span className="soft small">{times.length === 0 ? "none ended well" : "one run"}</span>;
  }
  const most = Math.max(...times.map((one) => one.executed_ms), 1);
  const line = times
    .map((one, place) => {
      const x = 2 + (place / (times.length - 1)) * (WIDTH - 4);
      const y = HEIGHT - 3 - (one.executed_ms / most) * (HEIGHT - 6);
      return `${place === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
  const words = `${times.length} runs, the latest ${duration(times.at(-1)?.executed_ms)}, at most ${duration(most)}`;
  return (
    <svg
      className="trend"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
    >
      <title>{words}</title>
      <path d={line} fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinejoin="round" />
    </svg>
  );
}

import type { PoolNode } from "@/live/pool-nodes";

/** Percentages of a moment, by the clock of the node that measured them. */
export interface Sample {
  at: number;
  cpu: number | null;
  memory: number | null;
}

const KEPT_MS = 10 * 60_000;
const WIDTH = 300;
const HEIGHT = 60;

/** The samples with another one; what was known already, and what is too old, falls out. */
export function sampled(before: Sample[], news: PoolNode["utilization"] | undefined): Sample[] {
  if (news == null) return before;
  const at = Date.parse(news.measured_at);
  if (before.at(-1)?.at === at) return before;
  const { cpu_percent: cpu = null, memory_percent: memory = null } = news;
  return [...before.filter((sample) => sample.at > at - KEPT_MS), { at, cpu, memory }];
}

/** The points of a line of percentages over time, as SVG wants them. */
export function points(samples: readonly Sample[], of: "cpu" | "memory"): string {
  const first = samples[0]?.at ?? 0;
  const span = Math.max(1, (samples.at(-1)?.at ?? 0) - first);
  return samples
    .flatMap((sample) => {
      const value = sample[of];
      if (value === null) return [];
      const x = ((sample.at - first) / span) * WIDTH;
      return [`${x.toFixed(1)},${(HEIGHT * (1 - value / 100)).toFixed(1)}`];
    })
    .join(" ");
}

/** CPU and memory over the last minutes. */
export function Sparkline({ samples }: { samples: readonly Sample[] }) {
  if (samples.length < 2) {
    return <p className="small soft">The curve begins with the next measurement.</p>;
  }
  const first = samples[0]?.at ?? 0;
  const minutes = Math.max(1, Math.round(((samples.at(-1)?.at ?? 0) - first) / 60_000));
  const cpu = samples.at(-1)?.cpu;
  return (
    <figure className="sparkline">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`CPU and memory over the last ${minutes} min: CPU ${cpu == null ? "unknown" : `${Math.round(cpu)} %`} now`}
      >
        <line x1="0" x2={WIDTH} y1={HEIGHT / 2} y2={HEIGHT / 2} className="sparkline-half" />
        <polyline points={points(samples, "memory")} className="sparkline-memory" />
        <polyline points={points(samples, "cpu")} className="sparkline-cpu" />
      </svg>
      <figcaption className="row small soft">
        <span className="sparkline-key cpu">CPU</span>
        <span className="sparkline-key memory">memory</span>
        <span>the last {minutes} min, 0 to 100 %</span>
      </figcaption>
    </figure>
  );
}

import { useQueryClient } from "@tanstack/react-query";
import { api } from "@/api/client";
import { useMay } from "@/api/session";
import { ActionButton } from "@/components/action-button";
import { Age } from "@/components/age";
import { Meter } from "@/components/meter";
import { count } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";

const FIGURES = [
  ["cpu_units", "A core", "units"],
  ["read_mib_s", "Reading", "MiB/s"],
  ["write_mib_s", "Writing", "MiB/s"],
  ["writes_per_s", "Small writes", "a second"],
] as const;

/** How fast the host was measured to be, beside the fastest of the pool. */
export function Benchmarks({ node, nodes }: { node: PoolNode; nodes: readonly PoolNode[] }) {
  const mayMeasure = useMay("modify-resources") && node.this_node;
  const client = useQueryClient();
  const { benchmark } = node;
  const measure = async () => {
    await api.POST("/api/node/benchmark");
    await client.invalidateQueries({ queryKey: ["get", "/api/pool/nodes"] });
  };
  return (
    <section className="card" aria-label="Benchmarks">
      <header>
        <h2>Benchmarks</h2>
        {mayMeasure ? (
          <ActionButton act={measure} done="Measured anew" command="buildnet node benchmark">
            Measure now
          </ActionButton>
        ) : (
          benchmark && (
            <span className="small">
              measured <Age at={benchmark.measured_at} />
            </span>
          )
        )}
      </header>
      {benchmark === null ? (
        <p className="soft">unknown: it was not measured yet</p>
      ) : (
        <div className="stack tight">
          {FIGURES.map(([key, label, unit]) => {
            const value = benchmark[key];
            const best = Math.max(...nodes.map((one) => one.benchmark?.[key] ?? 0));
            const text =
              value == null
                ? "unknown"
                : `${count(Math.round(value))} ${unit}, ${compared(value, best)}`;
            return (
              <Meter
                key={key}
                label={label}
                used={value}
                total={best}
                text={text}
                warnAt={2}
                badAt={2}
              />
            );
          })}
          {mayMeasure && (
            <p className="small soft">
              measured <Age at={benchmark.measured_at} />
            </p>
          )}
        </div>
      )}
    </section>
  );
}

function compared(value: number, best: number): string {
  return value >= best
    ? "the fastest of the pool"
    : `${Math.round((value / best) * 100)} % of the fastest`;
}

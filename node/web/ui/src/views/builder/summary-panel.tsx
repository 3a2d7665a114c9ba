import { useQuery } from "@tanstack/react-query";
import { api } from "@/api/client";
import { Meter } from "@/components/meter";
import type { Draft } from "@/views/builder/draft";
import { Estimate, type Target } from "@/views/builder/estimate";
import { FaultLines } from "@/views/builder/fault-lines";
import { gib } from "@/views/builder/fits";
import { Latencies } from "@/views/builder/latencies";
import type { PoolNode } from "@/views/builder/pool-nodes";
import { chosenNodes, sharesOf } from "@/views/builder/summary";
import { type Checked, standingKey } from "@/views/builder/use-pool";

/** What the draft comes to: how long, how much of the pool, how far from each other. */
export function SummaryPanel({
  draft,
  nodes,
  checked,
  target,
}: {
  draft: Draft;
  nodes: readonly PoolNode[];
  checked: Checked | null;
  target: Target;
}) {
  const standing = standingKey(nodes);
  // Round trips come with no event: they are asked for again when nodes come and go.
  const pool = useQuery({
    queryKey: ["pool", standing],
    queryFn: async ({ signal }) => (await api.GET("/api/pool", { signal })).data?.connections ?? [],
    staleTime: 15_000,
  });
  const { cores, memoryGb, diskGb } = sharesOf(draft, nodes);
  const text = (chosen: number | null, of: string, show: (amount: number) => string) =>
    chosen === null ? `what is free of ${of}` : `${show(chosen)} of ${of}`;
  return (
    <section className="card stack summary" aria-label="Summary">
      <Estimate draft={draft} checked={checked} target={target} standing={standing} />
      <section className="stack tight" aria-label="Distribution">
        <h3>Share of the pool</h3>
        <Meter
          label="Cores"
          used={cores.chosen}
          total={cores.of}
          text={text(cores.chosen, `${cores.of}`, String)}
          badAt={1.0001}
          warnAt={1.0001}
        />
        <Meter
          label="Memory"
          used={memoryGb.chosen}
          total={memoryGb.of}
          text={text(memoryGb.chosen, gib(memoryGb.of), gib)}
          badAt={1.0001}
          warnAt={1.0001}
        />
        <Meter
          label="Disk"
          used={diskGb.chosen}
          total={diskGb.of}
          text={text(diskGb.chosen, `${gib(diskGb.of)} free`, gib)}
          badAt={1.0001}
          warnAt={1.0001}
        />
      </section>
      <section className="stack tight" aria-label="Latency">
        <h3>Round trips</h3>
        <Latencies nodes={chosenNodes(draft, nodes)} connections={pool.data ?? []} />
      </section>
      <FaultLines faults={checked?.faults.others ?? []} />
    </section>
  );
}

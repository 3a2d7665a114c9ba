import { useState } from "react";
import { Meter } from "@/components/meter";
import { plural } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { useEvents } from "@/live/use-live";
import { isThere, memoryInUse } from "@/pool/totals";
import { cpuWords, memoryWords, NodeAge } from "@/views/nodes/node-words";
import { type Sample, Sparkline, sampled } from "@/views/nodes/sparkline";

/** How busy the node is now, and was since this page is open. */
export function LiveLoad({ node }: { node: PoolNode }) {
  const [samples, setSamples] = useState<Sample[]>(() => sampled([], node.utilization));
  useEvents("resources", (event) => {
    if (event.data.id !== node.id) return;
    setSamples((before) => sampled(before, event.data.utilization as PoolNode["utilization"]));
  });
  const load = node.utilization?.load_average;
  return (
    <section className="card" aria-label="Live load">
      <header>
        <h2>{isThere(node) ? "Live load" : "Load as last told"}</h2>
        <span className="small">
          measured <NodeAge node={node} />
        </span>
      </header>
      <div className="stack tight">
        <Meter
          label="CPU"
          used={node.utilization?.cpu_percent}
          total={100}
          text={cpuWords(node)}
          warnAt={2}
          badAt={2}
        />
        <Meter
          label="Memory"
          used={memoryInUse(node)}
          total={node.resources?.memory.total_bytes}
          text={memoryWords(node)}
        />
        <Sparkline samples={samples} />
        <p className="small soft">
          {isThere(node)
            ? plural(node.actions_running, "command runs", "commands run")
            : `${plural(node.actions_running, "command")} ran then`}
          {load ? `, load average ${load.map((one) => one.toFixed(1)).join(", ")}` : ""}
        </p>
      </div>
    </section>
  );
}

import { latency } from "@/format/format";
import type { PoolNode } from "@/views/builder/pool-nodes";
import { type Connection, linkOf } from "@/views/builder/summary";

/** Round trips between the nodes that are named. */
export function Latencies({
  nodes,
  connections,
}: {
  nodes: readonly PoolNode[];
  connections: readonly Connection[];
}) {
  if (nodes.length < 2) {
    return (
      <p className="soft small">Between two nodes that are named, their round trip is shown.</p>
    );
  }
  return (
    <div className="table-frame">
      <table className="table latencies">
        <caption className="unseen">Round trips between the nodes that are named</caption>
        <thead>
          <tr>
            <th scope="col">
              <span className="unseen">From</span>
            </th>
            {nodes.map((node) => (
              <th key={node.id} scope="col" className="number">
                {node.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {nodes.map((from) => (
            <tr key={from.id}>
              <th scope="row">{from.name}</th>
              {nodes.map((to) => (
                <Cell key={to.id} same={from === to} link={linkOf(connections, from.id, to.id)} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const TONES: Record<string, string> = {
  excellent: "good",
  good: "good",
  fair: "warn",
  poor: "bad",
};

function Cell({ same, link }: { same: boolean; link: Connection | undefined }) {
  if (same) return <td className="number soft">–</td>;
  const status = link?.status ?? null;
  const title = [status, link?.estimated ? "worked out, not measured between these two" : null]
    .filter(Boolean)
    .join(", ");
  return (
    <td className="number" title={title}>
      <span className={`latency ${TONES[status ?? ""] ?? ""}`}>
        {link?.estimated && "≈ "}
        {latency(link?.latency_ms)}
      </span>
    </td>
  );
}

import { RefreshCw } from "lucide-react";
import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { latency, shortId } from "@/format/format";

/** Which nodes have a result, as they say when they are asked. */
export function ResultHolders({ action }: { action: string }) {
  const path = { prefix: action };
  const found = query.useQuery("get", "/api/cache/where/{prefix}", { params: { path } });
  const problem = <NotAnswered asked={found} command={`buildnet cache where ${shortId(action)}`} />;
  if (found.data === undefined) {
    return found.error ? problem : <Loading what="which nodes have it" />;
  }
  return (
    <section className="stack tight" aria-labelledby="result-holders">
      {problem}
      <div className="row between">
        <h3 id="result-holders">Where it lies</h3>
        <span className="row small">
          <span className="soft">
            asked <Age at={found.dataUpdatedAt} />
          </span>
          <button
            type="button"
            className="button plain icon"
            aria-label="Ask the nodes again"
            disabled={found.isFetching}
            onClick={() => void found.refetch()}
          >
            <RefreshCw aria-hidden size={16} />
          </button>
        </span>
      </div>
      <ul className="stack tight" style={{ listStyle: "none", margin: 0, padding: 0 }}>
        {found.data.nodes.map((holder) => (
          <Line key={holder.node_id} holder={holder} />
        ))}
      </ul>
    </section>
  );
}

function Line({ holder }: { holder: Schema["Holder"] }) {
  const { has, why, made_at, latency_ms } = holder;
  const words = has === null ? "unknown" : has ? "has it" : "has it not";
  const about = [
    holder.this_node && "this node",
    latency_ms !== null && `${latency(latency_ms)} away`,
    why,
  ].filter(Boolean);
  return (
    <li className="row">
      <Badge tone={has === null ? "warn" : has ? "good" : "calm"}>{words}</Badge>
      <Link href={`/ui/nodes/${holder.node_id}`}>{holder.node}</Link>
      <span className="soft small">
        {about.join(", ")}
        {made_at !== null && (
          <>
            {about.length > 0 && ", "}made <Age at={made_at * 1_000} />
          </>
        )}
      </span>
    </li>
  );
}

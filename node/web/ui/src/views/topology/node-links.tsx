import { Link as To } from "wouter";
import { Age } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { plural } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { type Links, linkWords, otherEnd } from "@/views/topology/links";

/** The links of the chosen node in words, the fastest first. */
export function NodeLinks({
  node,
  nodes,
  links,
}: {
  node: PoolNode;
  nodes: readonly PoolNode[];
  links: Links;
}) {
  const names = new Map(nodes.map((one) => [one.id, one.name]));
  const own = links.of(node.id);
  const missing = nodes.length - 1 - own.length;
  return (
    <section className="card topology-chosen" aria-label={`Links of ${node.name}`}>
      <header>
        <h2>
          <To href={`/ui/nodes/${node.id}`}>{node.name}</To>
        </h2>
        <StatusBadge status={node.status} />
      </header>
      <p className="small soft">
        {plural(own.length, "link")}
        {missing > 0 && `; to ${plural(missing, "node")} unknown`}
      </p>
      <ul className="link-list small">
        {own.map((link) => {
          const other = otherEnd(link, node.id);
          return (
            <li key={other}>
              <span>
                <span className={`swatch grade-${link.grade ?? "unknown"}`} aria-hidden="true" />{" "}
                {names.get(other) ?? other}
              </span>
              <span className="right">
                {linkWords(link)}
                {!link.estimated && (
                  <>
                    , <Age at={link.at} />
                  </>
                )}
              </span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

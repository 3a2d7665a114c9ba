import { Age } from "@/components/age";
import { plural } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { type Links, linkWords } from "@/views/topology/links";

const SHOWN = 12;

/** The slowest links in words: what the picture shows, for those who don't see it, too. */
export function SlowLinks({ nodes, links }: { nodes: readonly PoolNode[]; links: Links }) {
  const names = new Map(nodes.map((one) => [one.id, one.name]));
  const slow = links.slowest(SHOWN);
  const pairs = (nodes.length * (nodes.length - 1)) / 2;
  return (
    <section className="card" aria-label="Slowest links">
      <header>
        <h2>Slowest links</h2>
        <span className="small soft">
          {slow.length} of {plural(links.all.length, "known link")}
          {links.all.length < pairs && ` (${plural(pairs, "pair")} of nodes)`}: those that are worse
          than good
        </span>
      </header>
      {slow.length === 0 && <p className="soft">None is.</p>}
      <ul className="link-list small">
        {slow.map((link) => (
          <li key={`${link.from} ${link.to}`}>
            <span>
              <span className={`swatch grade-${link.grade ?? "unknown"}`} aria-hidden="true" />{" "}
              {names.get(link.from) ?? link.from} and {names.get(link.to) ?? link.to}
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
        ))}
      </ul>
    </section>
  );
}

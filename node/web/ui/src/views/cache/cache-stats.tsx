import type { Schema } from "@/api/client";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { Meter } from "@/components/meter";
import { bytes, count, percent, plural } from "@/format/format";

/** How full the cache is, and how often it had what was looked for. */
export function CacheStats({
  stats,
  measuredAt,
}: {
  stats: Schema["StoreStats"];
  measuredAt: number;
}) {
  const asked = stats.hits + stats.misses;
  return (
    <div className="grid">
      <section className="card stack tight" aria-label="Room">
        <header>
          <h2>Room</h2>
          <span className="small">
            measured <Age at={measuredAt} staleAfterMs={300_000} />
          </span>
        </header>
        <Meter
          label="Blobs"
          used={stats.bytes}
          total={stats.capacity_bytes}
          text={`${bytes(stats.bytes)} of ${bytes(stats.capacity_bytes)}`}
          warnAt={0.98}
          badAt={1.01}
        />
        <p className="soft small">
          {plural(stats.actions, "result")}, {plural(stats.blobs, "blob")}; the index takes{" "}
          {bytes(stats.index_bytes)}. {bytes(stats.free_bytes)} are free on the volume.
        </p>
        <p className="soft small">
          {stats.held > 0
            ? `Running builds hold ${plural(stats.held, "blob")}: these stay in any case.`
            : "What was used longest ago goes first."}
        </p>
      </section>
      <section className="card stack tight" aria-label="Use">
        <header>
          <h2>Use</h2>
        </header>
        {asked === 0 ? (
          <p className="soft">Nobody has looked for a result yet.</p>
        ) : (
          <Meter
            label="Found"
            used={stats.hits}
            total={asked}
            text={`${count(stats.hits)} of ${plural(asked, "look-up")} (${percent(stats.hits, asked)})`}
            warnAt={2}
            badAt={2}
          />
        )}
        <p className="soft small">
          Packages whose outputs were in place are not looked up. Counted since the cache was
          cleared last.
        </p>
        {stats.oldest_used_at !== null && (
          <p className="soft small">
            Used longest ago: <Age at={stats.oldest_used_at * 1000} />
          </p>
        )}
      </section>
      <section className="card stack tight" aria-label="Soundness">
        <header>
          <h2>Soundness</h2>
          {stats.damaged > 0 ? (
            <Badge tone="bad">{plural(stats.damaged, "blob")} damaged and dropped</Badge>
          ) : (
            stats.scrubbed_at !== null && <Badge tone="good">all blobs sound</Badge>
          )}
        </header>
        <p className="soft small">
          {stats.scrubbed_at === null ? (
            "The node has not read all blobs again yet; it does while nothing is built."
          ) : (
            <>
              All blobs were read again <Age at={stats.scrubbed_at * 1000} />.
            </>
          )}{" "}
          Each one is checked whenever it is used.
        </p>
      </section>
    </div>
  );
}

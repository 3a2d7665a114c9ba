import { Link } from "wouter";
import { Age } from "@/components/age";
import { Meter } from "@/components/meter";
import { bytes, count, plural } from "@/format/format";
import type { Amount, Totals } from "@/pool/totals";
import { STALE_MS } from "@/views/nodes/node-words";

/** What the pool has, how much of it is in use, and how much is free. */
export function ResourceTotals({ of }: { of: Totals }) {
  const { cores, memory, disk } = of;
  return (
    <section className="card" aria-label="Resources of the pool">
      <header>
        <h2>Resources</h2>
        <Link href="/ui/nodes" className="small">
          {[
            plural(of.online - of.observers, "worker"),
            of.observers > 0 && plural(of.observers, "observer"),
            of.drained > 0 && `${of.drained} drained`,
            of.missing > 0 && `${of.missing} missing`,
          ]
            .filter(Boolean)
            .join(", ")}
        </Link>
      </header>
      <div className="stack">
        <Meter
          label="Cores in use by builds"
          used={cores.used}
          total={cores.total}
          text={`${count(cores.used)} of ${count(cores.total)} in use, ${count(cores.total - (cores.used ?? 0))} free`}
          warnAt={2}
          badAt={2}
        />
        <Meter label="Memory" used={memory.used} total={memory.total} text={inBytes(memory)} />
        <Meter label="Disk" used={disk.used} total={disk.total} text={inBytes(disk)} />
        <p className="small soft">
          What several nodes on one host share counts for each of them. The oldest of these figures:{" "}
          <Age at={of.oldestAt} staleAfterMs={STALE_MS} />
          {of.untold.length > 0 && `. Without ${of.untold.join(", ")}: what it has is not told yet`}
        </p>
      </div>
    </section>
  );
}

function inBytes({ used, total }: Amount): string {
  if (used === null) return `unknown of ${bytes(total)} in use`;
  return `${bytes(used)} of ${bytes(total)} in use, ${bytes(total - used)} free`;
}

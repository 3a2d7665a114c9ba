import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { Who } from "@/components/who";
import { bytes, plural, shortId } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { useBuilds, useItems } from "@/live/use-live";
import { isThere } from "@/pool/totals";
import { NotKnown } from "@/views/nodes/node-words";

/** What the node runs now and for whom, which builds it drives, and who lends it something. */
export function WorksFor({ node, nodes }: { node: PoolNode; nodes: readonly PoolNode[] }) {
  const leases = useLeases();
  const all = useBuilds();
  const builds = all.filter((build) => build.node_id === node.id);
  const workspaces = new Map(all.map((build) => [build.id, build.workspace]));
  const mayBuilds = useMay("view-builds");
  if (!isThere(node)) {
    return (
      <section className="card" aria-label="What it works on">
        <header>
          <h2>Works on now</h2>
        </header>
        <NotKnown node={node} />
      </section>
    );
  }
  const names = new Map(nodes.map((one) => [one.id, one.name]));
  const lent = leases.filter((lease) => lease.owner === node.id);
  const held = leases.filter((lease) => lease.holder === node.id && lease.owner !== node.id);
  return (
    <section className="card" aria-label="What it works on">
      <header>
        <h2>Works on now</h2>
      </header>
      <div className="stack">
        <div>
          <h3>For others</h3>
          {lent.length === 0 && <p className="soft">It lends nothing to anybody now.</p>}
          <ul className="plain-list">
            {lent.map((lease) => (
              <Lease
                key={`${lease.build} ${lease.holder}`}
                lease={lease}
                workspace={workspaces.get(lease.build)}
                other={
                  <>
                    of <Who actor={lease.actor} /> on{" "}
                    <Link href={`/ui/nodes/${lease.holder}`}>{lease.holder_name}</Link>
                  </>
                }
              />
            ))}
          </ul>
        </div>
        {mayBuilds && (
          <div>
            <h3>Builds that it drives</h3>
            {builds.length === 0 && <p className="soft">None run now.</p>}
            <ul className="plain-list">
              {builds.map((build) => (
                <li key={build.id} className="row between">
                  <span>
                    <Link href={`/ui/builds/${build.id}`}>{build.workspace}</Link> of{" "}
                    <Who actor={build.actor} />
                  </span>
                  <span className="row">
                    <span className="soft small">
                      {build.tasks === null ? "" : `${build.done} of ${build.tasks}`}
                    </span>
                    <StatusBadge status={build.status} />
                  </span>
                </li>
              ))}
            </ul>
          </div>
        )}
        {held.length > 0 && (
          <div>
            <h3>With the help of</h3>
            <ul className="plain-list">
              {held.map((lease) => (
                <Lease
                  key={`${lease.build} ${lease.owner}`}
                  lease={lease}
                  workspace={workspaces.get(lease.build)}
                  other={
                    <>
                      from{" "}
                      <Link href={`/ui/nodes/${lease.owner}`}>
                        {names.get(lease.owner) ?? lease.owner_name}
                      </Link>
                    </>
                  }
                />
              ))}
            </ul>
          </div>
        )}
      </div>
    </section>
  );
}

function Lease({
  lease,
  workspace,
  other,
}: {
  lease: Schema["PoolLease"];
  /** Of its build; undefined: not known here. */
  workspace: string | undefined;
  other: React.ReactNode;
}) {
  return (
    <li className="row between">
      <span>
        <Link href={`/ui/builds/${lease.build}`}>{workspace ?? shortId(lease.build)}</Link> {other}
      </span>
      <span className="soft small">
        {plural(lease.slots, "command")} at once
        {lease.memory_bytes > 0 && `, ${bytes(lease.memory_bytes)}`}, <Age at={lease.since} />
      </span>
    </li>
  );
}

/** Who lends to whom: as the channel tells it, before its first word as GET /api/pool does. */
function useLeases(): readonly Schema["PoolLease"][] {
  const live = useItems("resources").get("allocations")?.allocations;
  const pool = query.useQuery("get", "/api/pool", {}, { staleTime: 10_000 });
  return (live as Schema["PoolLease"][] | undefined) ?? pool.data?.leases ?? [];
}

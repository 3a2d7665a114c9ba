import { Link } from "wouter";
import { query } from "@/api/client";
import { Age } from "@/components/age";
import { NotAnswered } from "@/components/kept";
import { Meter } from "@/components/meter";
import { bytes, count, latency, percent } from "@/format/format";
import type { PoolNode } from "@/live/pool-nodes";
import { useAsOf } from "@/live/use-live";
import { isNoLoad, useRefetchOn, useRefetchOnPool } from "@/live/use-refetch";
import { disksOf, isThere } from "@/pool/totals";
import { roundTrip, STALE_MS } from "@/views/nodes/node-words";

/** What the host is made of, as the scan found it. */
export function Hardware({ node }: { node: PoolNode }) {
  const { resources } = node;
  if (resources === null) {
    return (
      <section className="card" aria-label="Hardware">
        <h2>Hardware</h2>
        <p className="soft">unknown: the node has told nothing yet</p>
      </section>
    );
  }
  const { cpu, memory, system, gpus } = resources;
  const limits = [
    cpu.limits?.max_cores != null && `${cpu.limits.max_cores} cores at most`,
    cpu.limits?.cgroup_quota_cores != null && `quota of ${cpu.limits.cgroup_quota_cores} cores`,
    cpu.limits?.reserved_cores?.length ? `${cpu.limits.reserved_cores.length} reserved` : false,
  ].filter(Boolean);
  return (
    <section className="card" aria-label="Hardware">
      <header>
        <h2>Hardware</h2>
        <span className="small">
          scanned <Age at={resources.scanned_at} />
        </span>
      </header>
      <dl className="facts">
        <dt>Processor</dt>
        <dd>
          {cpu.model ?? "unknown"}
          {cpu.frequency_mhz != null && `, ${count(cpu.frequency_mhz)} MHz`}
        </dd>
        <dt>Cores</dt>
        <dd>
          {cpu.cores} to build with, of {cpu.logical} logical
          {cpu.physical != null && `, ${cpu.physical} physical`}
          {limits.length > 0 && ` (${limits.join(", ")})`}
        </dd>
        <dt>Commands at once</dt>
        <dd>{count(node.slots)}</dd>
        <dt>Memory</dt>
        <dd>
          {bytes(memory.total_bytes)}
          {memory.installed_bytes !== memory.total_bytes &&
            ` of ${bytes(memory.installed_bytes)} installed`}
          {memory.memory_type && `, ${memory.memory_type}`}
          {memory.speed_mts != null && ` at ${count(memory.speed_mts)} MT/s`}
        </dd>
        <dt>System</dt>
        <dd>
          {system.version ?? system.name}, {cpu.architecture}
          {system.kernel && <span className="soft small"> kernel {system.kernel}</span>}
        </dd>
        {gpus?.map((gpu, slot) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a host may have several of the same name
          <div key={`${gpu.name} ${slot}`} className="contents">
            <dt>Graphics</dt>
            <dd>
              {gpu.name}, {bytes(gpu.memory_bytes)}
            </dd>
          </div>
        ))}
        <dt>Preferred</dt>
        <dd>weight {node.priority_weight}</dd>
        <dt>BuildNet</dt>
        <dd>
          version {node.version ?? "unknown"}, id <code>{node.id}</code>
        </dd>
      </dl>
      {cpu.features && cpu.features.length > 0 && (
        <details className="small">
          <summary>{cpu.features.length} features of the processor</summary>
          <p className="soft">{cpu.features.join(", ")}</p>
        </details>
      )}
    </section>
  );
}

/** The volumes that files can be kept on. */
export function Storage({ node }: { node: PoolNode }) {
  const volumes = disksOf(node);
  return (
    <section className="card" aria-label="Storage">
      <header>
        <h2>Storage</h2>
      </header>
      <div className="stack">
        {volumes.length === 0 && <p className="soft">unknown</p>}
        {volumes.map((volume) => {
          const total = volume.total_bytes;
          const used = total == null || volume.available === null ? null : total - volume.available;
          return (
            <div key={`${volume.path} ${volume.purpose}`}>
              <Meter
                label={volume.path}
                used={used}
                total={total}
                text={
                  used === null || total == null
                    ? "unknown"
                    : `${percent(used, total)} of ${bytes(total)} in use, ${bytes(total - used)} free`
                }
                warnAt={0.9}
                badAt={0.97}
              />
              <p className="small soft">
                {[
                  volume.purpose && `for ${volume.purpose}`,
                  volume.storage_class === "unknown" ? null : volume.storage_class,
                  volume.file_system,
                  volume.device,
                  volume.max_bytes != null && `${bytes(volume.max_bytes)} at most`,
                  volume.problem,
                ]
                  .filter(Boolean)
                  .join(", ")}
              </p>
            </div>
          );
        })}
      </div>
    </section>
  );
}

/** How the node is reached, and the links that it has with others. */
export function Network({ node, nodes }: { node: PoolNode; nodes: readonly PoolNode[] }) {
  const health = query.useQuery("get", "/api/pool/health");
  const pool = query.useQuery("get", "/api/pool");
  useRefetchOn("nodes", ["get", "/api/pool/health"], isNoLoad);
  useRefetchOn("nodes", ["get", "/api/pool"], isNoLoad);
  useRefetchOnPool(["get", "/api/pool/health"], "health", "links");
  useRefetchOnPool(["get", "/api/pool"], "links");
  const asOf = useAsOf(pool);
  const seen = health.data?.nodes.find((one) => one.id === node.id);
  const names = new Map(nodes.map((one) => [one.id, one.name]));
  const links = (pool.data?.connections ?? [])
    .filter((one) => one.from_node === node.id || one.to_node === node.id)
    .sort((a, b) => (a.latency_ms ?? 0) - (b.latency_ms ?? 0));
  return (
    <section className="card" aria-label="Network">
      <header>
        <h2>Network</h2>
        <span className="small">
          as of <Age at={asOf} staleAfterMs={STALE_MS} />,{" "}
          <Link href={`/ui/topology?node=${node.id}`}>in the topology</Link>
        </span>
      </header>
      <NotAnswered asked={pool} command="buildnet pool status" />
      <dl className="facts">
        <dt>Address</dt>
        <dd>{node.address ?? "unknown"}</dd>
        <dt>Round trip</dt>
        <dd>{roundTrip(node)}</dd>
        {!isThere(node) && (
          <>
            <dt>Link</dt>
            <dd>
              not known: it is {node.status}
              {seen?.last_heard_s != null && (
                <>
                  , last heard <Age at={health.dataUpdatedAt - seen.last_heard_s * 1_000} />
                </>
              )}
            </dd>
          </>
        )}
        {isThere(node) && seen?.link && (
          <>
            <dt>Link</dt>
            <dd>
              {seen.link.kind}
              {seen.link.relayed_by && ` by ${names.get(seen.link.relayed_by) ?? "another node"}`}
              {seen.link.for_s !== null && (
                <>
                  , made <Age at={health.dataUpdatedAt - seen.link.for_s * 1_000} />
                </>
              )}
              ; {bytes(seen.link.bytes_sent)} sent, {bytes(seen.link.bytes_received)} received as of{" "}
              <Age at={health.dataUpdatedAt} />
            </dd>
          </>
        )}
        {node.resources?.network?.map((one) => (
          <div key={one.name} className="contents">
            <dt>{one.name}</dt>
            <dd>
              {one.up ? "up" : "down"}
              {one.speed_mbps != null && `, ${count(one.speed_mbps)} Mbit/s`}
              {one.addresses && one.addresses.length > 0 && (
                <span className="soft small"> {one.addresses.join(", ")}</span>
              )}
            </dd>
          </div>
        ))}
      </dl>
      {links.length > 0 && (
        <details className="small" open={links.length <= 8}>
          <summary>
            Round trips to other nodes{isThere(node) ? "" : ", as last known"}: {links.length}
          </summary>
          <ul className="plain-list">
            {links.map((one) => {
              const other = one.from_node === node.id ? one.to_node : one.from_node;
              return (
                <li key={other} className="row between">
                  <Link href={`/ui/nodes/${other}`}>{names.get(other) ?? other}</Link>
                  <span className="soft">
                    {latency(one.latency_ms)}
                    {one.estimated && ", estimated"}
                    {one.status && `, ${one.status}`}
                    {one.age_s !== null && (
                      <>
                        , <Age at={pool.dataUpdatedAt - one.age_s * 1_000} />
                      </>
                    )}
                  </span>
                </li>
              );
            })}
          </ul>
        </details>
      )}
    </section>
  );
}

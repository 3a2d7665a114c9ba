import { memo } from "react";
import { Link } from "wouter";
import { Badge } from "@/components/badge";
import { Meter } from "@/components/meter";
import type { PoolNode } from "@/live/pool-nodes";
import { isThere, memoryInUse } from "@/pool/totals";
import { fullestVolume, programs } from "@/views/nodes/node-list";
import {
  cpuWords,
  diskWords,
  memoryWords,
  NodeAge,
  NodeBadges,
  nodePath,
  roundTrip,
} from "@/views/nodes/node-words";

const PROGRAMS_SHOWN = 8;

/**
 * One node at a glance; the whole card leads to its page. Drawn again only where its node is another
 * object: to sort a hundred of them moves them, and no more.
 */
export const NodeCard = memo(function NodeCard({ node }: { node: PoolNode }) {
  const volume = fullestVolume(node);
  const found = programs(node);
  const runtimes = new Set(node.resources?.runtimes?.map((runtime) => runtime.name));
  // Runtimes first: what they are decides what can be built there.
  const shown = [...found]
    .sort((a, b) => Number(runtimes.has(b.name)) - Number(runtimes.has(a.name)))
    .slice(0, PROGRAMS_SHOWN);
  return (
    <li className="card node-card">
      <header>
        <h2>
          <Link href={nodePath(node)}>{node.name}</Link>
        </h2>
        <NodeBadges node={node} />
      </header>
      <div className="stack tight">
        {!isThere(node) && <p className="small soft">As it last told:</p>}
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
        <Meter
          label={volume === null ? "Disk" : `Disk ${volume.path}`}
          used={volume?.used}
          total={volume?.total}
          text={diskWords(node)}
          warnAt={0.9}
          badAt={0.97}
        />
      </div>
      <dl className="facts small">
        <dt>Round trip</dt>
        <dd>{roundTrip(node)}</dd>
        <dt>Role</dt>
        <dd>
          {node.role}, {node.rights}
        </dd>
        <dt>Measured</dt>
        <dd>
          <NodeAge node={node} />
        </dd>
      </dl>
      {node.lends_nothing && (
        <p className="small soft">Takes nothing new of others: {node.lends_nothing}</p>
      )}
      <p className="row tight">
        {node.tags.map((tag) => (
          <Badge key={tag} tone="busy">
            {tag}
          </Badge>
        ))}
        {shown.map((program) => (
          <Badge key={`${program.name} ${program.path}`}>
            {program.name} {program.version?.split(/[-+ ]/)[0]}
          </Badge>
        ))}
        {found.length > shown.length && (
          <span className="soft small">and {found.length - shown.length} more</span>
        )}
      </p>
    </li>
  );
});

import { useDragOperation, useDroppable } from "@dnd-kit/react";
import { Ban, CircleCheck, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import type { Draft } from "@/views/builder/draft";
import type { Offer, ZoneName } from "@/views/builder/edits";
import { FaultLines } from "@/views/builder/fault-lines";
import type { Fault } from "@/views/builder/faults";
import { saidOf, verdict, ZONE_TITLES } from "@/views/builder/fits";
import type { PoolNode } from "@/views/builder/pool-nodes";

/** A place for pieces; tells whether it takes what is dragged, and why not. */
export function ZoneBox({
  zone,
  draft,
  nodes,
  faults,
  total,
  empty,
  refused,
  isEmpty,
  besides,
  children,
}: {
  zone: ZoneName;
  draft: Draft;
  nodes: readonly PoolNode[];
  faults: readonly Fault[];
  /** What it comes to, or how that is set. */
  total: ReactNode;
  /** What a build does while nothing is in it. */
  empty: string;
  /** Why it did not take what was dropped last. */
  refused: string | null;
  isEmpty: boolean;
  /** What takes part without being a piece. */
  besides?: ReactNode;
  children: ReactNode;
}) {
  const says = (offer: Offer) => verdict(offer, zone, draft, nodes);
  const { ref, isDropTarget } = useDroppable({ id: zone, data: { zone, says } });
  const { source } = useDragOperation();
  const offer = source ? (source.data.offer as Offer) : null;
  const found = offer === null ? null : says(offer);
  const look = ["zone", "card"];
  if (found !== null) {
    look.push(found.takes ? "takes" : "refuses");
    if (found.short) look.push("short");
  }
  if (isDropTarget) look.push("over");
  return (
    <section ref={ref} className={look.join(" ")} aria-label={ZONE_TITLES[zone]} data-zone={zone}>
      <header>
        <h2>{ZONE_TITLES[zone]}</h2>
        {found === null ? (
          total
        ) : (
          <p className="zone-verdict">
            {found.short ? (
              <TriangleAlert aria-hidden size={16} />
            ) : found.takes ? (
              <CircleCheck aria-hidden size={16} />
            ) : (
              <Ban aria-hidden size={16} />
            )}
            {saidOf(found, zone)}
          </p>
        )}
      </header>
      {found === null && refused !== null && (
        <p className="zone-verdict refused">
          <Ban aria-hidden size={16} /> Not taken: {refused}
        </p>
      )}
      {isEmpty && <p className="soft small zone-empty">{empty}</p>}
      <ul className="zone-pieces">{children}</ul>
      {besides}
      <FaultLines faults={faults} />
    </section>
  );
}

import type { ReactNode } from "react";
import { Age } from "@/components/age";
import { Empty } from "@/components/states";
import { useOfFeed } from "@/live/use-live";

/**
 * What stands where nothing of the live data is to be shown: that there is nothing is a fact only
 * while the node tells, so else it says when that was told.
 */
export function NothingNow({ title, children }: { title: string; children?: ReactNode }) {
  const isTold = useOfFeed((feed) => feed.status === "live");
  const heardAt = useOfFeed((feed) => feed.heardAt);
  const isRefused = useOfFeed((feed) => feed.refusal !== null);
  if (isRefused) return <Empty title="Not known here: whoever is logged in is told nothing live" />;
  if (isTold) return <Empty title={title}>{children}</Empty>;
  if (heardAt === null) return <Empty title="Not known yet: this node has told nothing" />;
  return (
    <Empty title="Not known now: the node can't be heard">
      <p>
        {title}, as was told <Age at={heardAt} />.
      </p>
    </Empty>
  );
}

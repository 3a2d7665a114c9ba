import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { useSession } from "@/api/session";
import { ActionButton } from "@/components/action-button";
import { ConfirmByName } from "@/components/dialog";
import { useToasts } from "@/components/toasts";
import { bytes, plural } from "@/format/format";

/** Checking the cache, making it smaller, clearing it. */
export function CacheActions({
  stats,
  onChanged,
}: {
  stats: Schema["StoreStats"];
  onChanged: () => void;
}) {
  const toasts = useToasts();
  const node = useSession().data?.node.name ?? "";
  const [clearing, setClearing] = useState(false);

  const verify = async () => {
    const { data } = await api.POST("/api/cache/verify");
    if (data === undefined) return;
    const found = data.damaged.length + data.missing.length;
    toasts.done(
      `Read ${plural(data.checked, "blob")}, ${bytes(data.bytes)}: ` +
        (found === 0
          ? "all sound"
          : `${found} damaged or missing, dropped; the next build makes them again`),
    );
    onChanged();
  };
  const collect = async () => {
    const { data } = await api.POST("/api/cache/gc", { body: {} });
    if (data) toasts.done(`Removed ${plural(data.actions, "result")} and ${bytes(data.bytes)}`);
    onChanged();
  };
  const clear = async () => {
    const { data } = await api.POST("/api/cache/clear");
    if (data) toasts.done(`Removed ${plural(data.actions, "result")} and ${bytes(data.bytes)}`);
    onChanged();
  };

  return (
    <>
      <ActionButton act={verify} command="buildnet cache verify">
        Verify
      </ActionButton>
      <ActionButton act={collect} command="buildnet cache gc">
        Shrink to its bound
      </ActionButton>
      <button type="button" className="button danger" onClick={() => setClearing(true)}>
        Clear…
      </button>
      {clearing && (
        <ConfirmByName
          title="Clear this node's cache"
          name={node}
          verb="Clear"
          command="buildnet cache clear"
          act={clear}
          onClose={() => setClearing(false)}
        >
          {plural(stats.actions, "result")} and {plural(stats.blobs, "blob")}, {bytes(stats.bytes)},
          go from {node}, and installed dependencies with them. What running builds need stays, and
          so do your workspaces; whatever has to be made again runs again.
        </ConfirmByName>
      )}
    </>
  );
}

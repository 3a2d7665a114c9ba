import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { FormDialog } from "@/components/dialog";
import { useToasts } from "@/components/toasts";
import { quoted } from "@/format/shell";
import { RightsChoice } from "@/views/access/rights";

/** Somebody who has rights: the owner of a node, or an account. */
export interface Holder {
  kind: "node" | "account";
  id: string;
  name: string;
  rights: Schema["Rights"] | null;
  words: string;
}

/** Changes what somebody may do. */
export function RightsDialog({
  holder,
  onClose,
  onChanged,
}: {
  holder: Holder;
  onClose: () => void;
  onChanged: () => Promise<unknown>;
}) {
  const [rights, setRights] = useState<Schema["Rights"]>(holder.rights ?? "observer");
  const toasts = useToasts();
  const change = async () => {
    if (holder.kind === "node") {
      await api.POST("/api/node/rights", { body: { node: holder.id, rights } });
    } else {
      await api.PUT("/api/accounts/{name}", {
        params: { path: { name: holder.id } },
        body: { rights },
      });
    }
    await onChanged();
    toasts.done(`${holder.name} has the rights of: ${rights}`);
  };
  const name = holder.kind === "node" ? holder.name : `account:${holder.id}`;
  return (
    <FormDialog
      title={`What ${holder.name} may do`}
      verb="Change"
      ready={rights !== holder.rights}
      command={`buildnet rights set ${quoted(name)} ${rights}`}
      act={change}
      onClose={onClose}
    >
      <RightsChoice value={rights} onChange={setRights} />
      {holder.kind === "node" && holder.rights === "admin" && rights !== "admin" && (
        <div className="notice warn">Keys that this node made end with its being an admin's.</div>
      )}
    </FormDialog>
  );
}

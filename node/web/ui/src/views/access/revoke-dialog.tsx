import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { ConfirmByName } from "@/components/dialog";
import { TextField } from "@/components/field";
import { quoted } from "@/format/shell";

/** Asks whether a key is to count no more, and why. */
export function RevokeDialog({
  of: key,
  onRevoked,
  onClose,
}: {
  of: Pick<Schema["KnownKey"], "id" | "name">;
  onRevoked: () => Promise<unknown>;
  onClose: () => void;
}) {
  const [typed, setTyped] = useState("");
  const reason = typed.trim();
  const option = reason === "" ? "" : ` --reason ${quoted(reason)}`;
  return (
    <ConfirmByName
      title="Revoke a key"
      name={key.name}
      verb="Revoke"
      command={`buildnet key revoke ${quoted(key.name)}${option}`}
      act={async () => {
        const path = { name: key.id };
        await api.POST("/api/keys/{name}/revoke", { params: { path }, body: { reason } });
        await onRevoked();
      }}
      onClose={onClose}
    >
      <div className="stack tight">
        <p>
          For ever, on all nodes: within a second where they are connected. Whoever uses it is cut
          off, and keys that were made with it go too.
        </p>
        <TextField
          label="Why (may stay empty)"
          hint="It is recorded in the ledger, and shown with the key."
          maxLength={200}
          value={typed}
          onChange={setTyped}
        />
      </div>
    </ConfirmByName>
  );
}

import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { FormDialog } from "@/components/dialog";
import { TextField } from "@/components/field";
import { quoted } from "@/format/shell";
import { RightsChoice } from "@/views/access/rights";

/** Makes an account for a person. */
export function NewAccountDialog({
  onClose,
  onMade,
}: {
  onClose: () => void;
  onMade: () => Promise<unknown>;
}) {
  const [id, setId] = useState("");
  const [description, setDescription] = useState("");
  const [rights, setRights] = useState<Schema["Rights"]>("builder");
  const make = async () => {
    await api.POST("/api/accounts", { body: { id, rights, description } });
    await onMade();
  };
  return (
    <FormDialog
      title="New account"
      verb="Make the account"
      command={`buildnet account add ${quoted(id || "NAME")} --rights ${rights}`}
      act={make}
      onClose={onClose}
    >
      <TextField label="Name" required maxLength={64} value={id} onChange={setId} />
      <TextField label="Who that is" value={description} onChange={setDescription} />
      <RightsChoice value={rights} onChange={setRights} />
      <p className="soft small">It has no password: make a login link for it, and send that.</p>
    </FormDialog>
  );
}

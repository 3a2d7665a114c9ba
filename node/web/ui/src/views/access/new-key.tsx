import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { FormDialog } from "@/components/dialog";
import { SelectField, TextField } from "@/components/field";
import { quoted } from "@/format/shell";
import { RightsChoice } from "@/views/access/rights";

const DAY_S = 86_400;
const LIFETIMES = [
  ["1", "a day"],
  ["7", "a week"],
  ["30", "30 days"],
  ["90", "90 days"],
  ["365", "a year"],
] as const;

/** Asks what a new key is for, and makes it: `onMade` shows it instead of this window, once. */
export function NewKeyDialog({
  onClose,
  onMade,
}: {
  onClose: () => void;
  onMade: (key: Schema["NewKey"]) => void;
}) {
  const [name, setName] = useState("");
  const [rights, setRights] = useState<Schema["Rights"]>("observer");
  const [days, setDays] = useState<(typeof LIFETIMES)[number][0]>("30");
  const [scope, setScope] = useState("");
  const scopes = scope.split(/[\s,]+/).filter(Boolean);
  const command = [
    `buildnet key create ${quoted(name || "NAME")} --rights ${rights} --expires ${days}d`,
    ...scopes.map((one) => `--scope ${quoted(one)}`),
  ].join(" ");

  const make = async () => {
    const body = { name, rights, scope: scopes, valid_s: Number(days) * DAY_S };
    const { data } = await api.POST("/api/keys", { body });
    if (data) onMade(data);
  };
  return (
    <FormDialog
      title="New key"
      verb="Make the key"
      stays
      command={command}
      act={make}
      onClose={onClose}
    >
      <TextField
        label="Name"
        hint="What it is for, such as ci or review-agent; 64 characters at most."
        required
        maxLength={64}
        value={name}
        onChange={setName}
      />
      <RightsChoice value={rights} onChange={setRights} />
      <SelectField label="Counts for" value={days} options={LIFETIMES} onChange={setDays} />
      <TextField
        label="Only for (may be left empty)"
        hint="workspace:NAME, node:NAME or action:ACTION, any number of them."
        className="input mono"
        placeholder="workspace:shop action:trigger-build"
        value={scope}
        onChange={setScope}
      />
    </FormDialog>
  );
}

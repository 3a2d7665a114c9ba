import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { Command } from "@/components/command";
import { Dialog, FormDialog } from "@/components/dialog";
import { SelectField, TextField } from "@/components/field";
import { dateTime } from "@/format/format";
import { quoted } from "@/format/shell";

const HOUR_S = 3_600;
const LIFETIMES = [
  ["1", "an hour"],
  ["24", "a day"],
  ["168", "a week"],
] as const;
type Hours = (typeof LIFETIMES)[number][0];

type Made = Pick<Schema["NewInvitation"], "command" | "expires_at" | "warning">;

/** Invites nodes: a new host, of which tags and limits are set, or nodes that run already. */
export default function InviteDialog({ onClose }: { onClose: () => void }) {
  const [made, setMade] = useState<Made | null>(null);
  const [isNew, setNew] = useState(true);
  if (made !== null) return <Invitation made={made} onClose={onClose} />;
  const choice = (
    <fieldset className="row choices">
      <legend className="unseen">What joins</legend>
      {(
        [
          [true, "A new host"],
          [false, "Nodes that run already"],
        ] as const
      ).map(([value, words]) => (
        <label key={words} className="row">
          <input
            type="radio"
            name="what"
            checked={isNew === value}
            onChange={() => setNew(value)}
          />
          {words}
        </label>
      ))}
    </fieldset>
  );
  return isNew ? (
    <NewHost onClose={onClose} onMade={setMade}>
      {choice}
    </NewHost>
  ) : (
    <RunningNodes onClose={onClose} onMade={setMade}>
      {choice}
    </RunningNodes>
  );
}

interface FormProps {
  onClose: () => void;
  onMade: (made: Made) => void;
  children: React.ReactNode;
}

function NewHost({ onClose, onMade, children }: FormProps) {
  const [name, setName] = useState("");
  const [tags, setTags] = useState("");
  const [cores, setCores] = useState("");
  const [hours, setHours] = useState<Hours>("1");
  const labels = tags.split(/[\s,]+/).filter(Boolean);
  const invite = async () => {
    const terms = {
      ...(labels.length > 0 && { tags: labels }),
      ...(cores !== "" && { max_cores: Number(cores) }),
    };
    const body = { name: name || null, valid_s: Number(hours) * HOUR_S, terms };
    const { data } = await api.POST("/api/servers", { body });
    if (data) onMade(data);
  };
  const command = [
    `buildnet server add${name && ` ${quoted(name)}`}`,
    ...labels.map((label) => `--label ${quoted(label)}`),
    ...(cores === "" ? [] : [`--max-cores ${cores}`]),
    `--expires ${hours}h`,
  ].join(" ");
  return (
    <FormDialog
      title="Invite a node"
      verb="Invite"
      stays
      command={command}
      act={invite}
      onClose={onClose}
    >
      {children}
      <TextField label="Name" hint="Left empty: as its host." value={name} onChange={setName} />
      <TextField
        label="Tags"
        hint="Separated by spaces, such as: gpu lab"
        value={tags}
        onChange={setTags}
      />
      <TextField
        label="Cores that it lends at most"
        hint="Left empty: all that it has."
        type="number"
        min={1}
        max={4096}
        value={cores}
        onChange={setCores}
      />
      <SelectField label="It works for" value={hours} options={LIFETIMES} onChange={setHours} />
    </FormDialog>
  );
}

function RunningNodes({ onClose, onMade, children }: FormProps) {
  const [uses, setUses] = useState("1");
  const [role, setRole] = useState<Schema["Role"]>("worker");
  const [rights, setRights] = useState<Schema["Rights"]>("builder");
  const [hours, setHours] = useState<Hours>("1");
  const invite = async () => {
    const body = { uses: Number(uses), valid_s: Number(hours) * HOUR_S, role, rights };
    const { data } = await api.POST("/api/node/invite", { body });
    if (data) onMade(data);
  };
  return (
    <FormDialog
      title="Invite a node"
      verb="Invite"
      stays
      command={`buildnet node invite --uses ${uses || 1} --role ${role} --rights ${rights} --expires ${hours}h`}
      act={invite}
      onClose={onClose}
    >
      {children}
      <TextField
        label="How many nodes may join with it"
        type="number"
        required
        min={1}
        max={1000}
        value={uses}
        onChange={setUses}
      />
      <SelectField
        label="Role"
        hint="A worker runs commands of builds; an observer only watches."
        value={role}
        options={["worker", "observer"]}
        onChange={setRole}
      />
      <SelectField
        label="Rights"
        hint="What the owner of the node may do in the cluster."
        value={rights}
        options={["builder", "observer", "admin"]}
        onChange={setRights}
      />
      <SelectField label="It works for" value={hours} options={LIFETIMES} onChange={setHours} />
    </FormDialog>
  );
}

function Invitation({ made, onClose }: { made: Made; onClose: () => void }) {
  return (
    <Dialog title="Run this on the other host" onClose={onClose}>
      <Command line={made.command} />
      {made.warning && <div className="notice warn">{made.warning}</div>}
      <p className="soft small">
        Whoever has it can join, until {dateTime(made.expires_at)}. It is not shown again.
      </p>
      <div className="row dialog-ends">
        <button type="button" className="button primary" onClick={onClose}>
          I have it
        </button>
      </div>
    </Dialog>
  );
}

import { useState } from "react";
import { api } from "@/api/client";
import { FormDialog } from "@/components/dialog";
import { SelectField, TextField } from "@/components/field";
import { useToasts } from "@/components/toasts";
import { quoted } from "@/format/shell";
import type { PoolNode } from "@/live/pool-nodes";
import { asCommand, changed, RESET, type TermsForm } from "@/views/nodes/terms";

const GIB = 1024 ** 3;

/** Tags and limits of a host; its node.yaml says how much there is at most. */
export function EditTerms({ node, onClose }: { node: PoolNode; onClose: () => void }) {
  const [before] = useState(() => asNow(node));
  const [form, setForm] = useState(before);
  const [reset, setReset] = useState(false);
  const toasts = useToasts();
  const set = (key: keyof TermsForm) => (value: string) => setForm({ ...form, [key]: value });
  const change = changed(form, before);
  const body = reset ? RESET : change;
  const save = async () => {
    await api.PUT("/api/servers/{name}", { params: { path: { name: node.id } }, body });
    toasts.done(`It counts at once for ${node.name}`);
  };
  return (
    <FormDialog
      title={`Limits and tags of ${node.name}`}
      verb={reset ? "Reset" : "Change"}
      ready={reset || Object.keys(change).length > 0}
      command={
        reset ? `buildnet server update ${quoted(node.name)} --reset` : asCommand(node.name, change)
      }
      act={save}
      onClose={onClose}
    >
      <fieldset className="choices stack" disabled={reset}>
        <TextField
          label="Tags"
          hint="Separated by spaces; commands ask for hosts by them."
          value={form.tags}
          onChange={set("tags")}
        />
        <div className="two-fields">
          <TextField
            label="Cores at most"
            type="number"
            min={1}
            max={65536}
            placeholder="unchanged"
            value={form.cores}
            onChange={set("cores")}
          />
          <TextField
            label="Commands at once at most"
            type="number"
            min={1}
            placeholder="unchanged"
            value={form.commands}
            onChange={set("commands")}
          />
          <TextField
            label="Memory for commands, GiB"
            type="number"
            min={0.1}
            step="any"
            placeholder="unchanged"
            value={form.memory}
            onChange={set("memory")}
          />
          <TextField
            label="Preferred, usual 1"
            type="number"
            min={0.01}
            max={1000}
            step="any"
            value={form.weight}
            onChange={set("weight")}
          />
          <SelectField
            label="Runs commands of others"
            value={form.accept}
            options={[["", "unchanged"], "yes", "no"]}
            onChange={set("accept")}
          />
          <TextField
            label="Hours without those of others"
            placeholder="unchanged, or 09:00-17:00"
            value={form.hours}
            onChange={set("hours")}
          />
        </div>
      </fieldset>
      <label className="row">
        <input
          type="checkbox"
          checked={reset}
          onChange={(event) => setReset(event.target.checked)}
        />
        Forget all that was said before: as its node.yaml says
      </label>
    </FormDialog>
  );
}

/** What is known of the limits now; what a node does not tell is left empty. */
function asNow(node: PoolNode): TermsForm {
  const { cpu, memory } = node.resources ?? {};
  const bytes = memory?.limits?.max_bytes;
  return {
    tags: node.tags.join(" "),
    cores: cpu?.limits?.max_cores?.toString() ?? "",
    commands: "",
    memory: bytes == null ? "" : String(Math.round((bytes / GIB) * 100) / 100),
    weight: String(node.priority_weight),
    accept: "",
    hours: "",
  };
}

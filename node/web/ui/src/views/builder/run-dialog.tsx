import { useState } from "react";
import { useLocation } from "wouter";
import { useMay } from "@/api/session";
import { FormDialog } from "@/components/dialog";
import { SelectField, TextField } from "@/components/field";
import { type ByConfiguration, begin, ID, keep, unkept } from "@/views/builder/calls";
import type { Draft } from "@/views/builder/draft";
import { type Target, useProfiles, useWorkspaces } from "@/views/builder/estimate";
import { useKeptAnew } from "@/views/builder/save-dialogs";
import * as store from "@/views/builder/store";

/** Build with the draft as it is on the screen; who may can keep it on that occasion. */
export function RunDialog({
  draft,
  version,
  unsaved,
  target: { root, profile, onRoot, onProfile },
  onClose,
}: {
  draft: Draft;
  version: number | null;
  unsaved: boolean;
  target: Target;
  onClose: () => void;
}) {
  const [, go] = useLocation();
  const anew = useKeptAnew();
  const maySave = useMay("modify-config");
  const { options } = useWorkspaces();
  const profiles = useProfiles();
  const [id, setId] = useState(draft.id);
  const isKept = draft.id !== "" && !unsaved;
  const [keeps, setKeeps] = useState(false);
  const isNew = version === null || draft.id === "";
  const act = async () => {
    let by: ByConfiguration = isKept ? { config_id: draft.id } : { configuration: unkept(draft) };
    if (keeps) {
      const kept = await keep({ ...draft, id }, id === draft.id ? version : null);
      store.edit({ ...draft, id });
      store.saved(kept.draft, kept.version);
      await anew();
      by = { config_id: kept.draft.id };
    }
    const build = await begin(root, by, profile);
    go(`/ui/builds/${build}`);
  };
  const config = isKept ? draft.id : keeps ? id || "NAME" : "./FILE.yaml";
  return (
    <FormDialog
      title="Run a build with it"
      verb={keeps ? "Save and run" : "Run"}
      command={`buildnet build --config ${config}${profile && ` --profile ${profile}`}`}
      ready={root !== "" && (!keeps || ID.test(id))}
      onClose={onClose}
      act={act}
    >
      <SelectField
        label="Workspace"
        required
        value={root}
        options={[["", "choose one"], ...options]}
        onChange={onRoot}
      />
      <SelectField
        label="Profile"
        hint="how the work is spread"
        value={profile}
        options={profiles}
        onChange={onProfile}
      />
      {!isKept && maySave && (
        <label className="row">
          <input
            type="checkbox"
            checked={keeps}
            onChange={(event) => setKeeps(event.target.checked)}
          />
          save it first
        </label>
      )}
      {keeps && isNew && (
        <TextField
          label="Id"
          hint="it is kept under this id"
          required
          spellCheck={false}
          value={id}
          onChange={setId}
        />
      )}
      {!isKept && !keeps && (
        <p className="soft small">
          It is built with what is here now. The record of the build has it; Export writes the file
          for the command.
        </p>
      )}
    </FormDialog>
  );
}

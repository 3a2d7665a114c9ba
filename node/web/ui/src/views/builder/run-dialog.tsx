import { useState } from "react";
import { useLocation } from "wouter";
import { useMay } from "@/api/session";
import { FormDialog } from "@/components/dialog";
import { Field } from "@/components/field";
import { begin, ID, keep } from "@/views/builder/calls";
import type { Draft } from "@/views/builder/draft";
import { type Target, useProfiles, useWorkspaces } from "@/views/builder/estimate";
import { useKeptAnew } from "@/views/builder/save-dialogs";
import * as store from "@/views/builder/store";

/** Build with the draft. Builds go by what is kept: what was changed is saved first. */
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
  const act = async () => {
    let config = draft.id;
    if (!isKept) {
      const kept = await keep({ ...draft, id }, id === draft.id ? version : null);
      store.edit({ ...draft, id });
      store.saved(kept.draft, kept.version);
      await anew();
      config = kept.draft.id;
    }
    const build = await begin(root, config, profile);
    go(`/ui/builds/${build}`);
  };
  return (
    <FormDialog
      title="Run a build with it"
      verb={isKept ? "Run" : "Save and run"}
      command={`buildnet build --config ${id || "NAME"}${profile && ` --profile ${profile}`}`}
      ready={root !== "" && ID.test(id) && (isKept || maySave)}
      onClose={onClose}
      act={act}
    >
      {!isKept && !maySave && (
        <p className="notice warn">
          Builds go by a configuration that is kept, and your rights don't let you keep this one.
        </p>
      )}
      {!isKept && (version === null || draft.id === "") && (
        <Field label="Id" hint="it is kept under this id first">
          <input
            className="input"
            required
            spellCheck={false}
            value={id}
            onChange={(event) => setId(event.target.value)}
          />
        </Field>
      )}
      <Field label="Workspace">
        <select
          className="input"
          required
          value={root}
          onChange={(event) => onRoot(event.target.value)}
        >
          <option value="">choose one</option>
          {options.map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        </select>
      </Field>
      <Field label="Profile" hint="how the work is spread">
        <select
          className="input"
          value={profile}
          onChange={(event) => onProfile(event.target.value)}
        >
          {profiles.map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        </select>
      </Field>
    </FormDialog>
  );
}

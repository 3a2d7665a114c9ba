import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { FormDialog } from "@/components/dialog";
import { TextField } from "@/components/field";
import { useToasts } from "@/components/toasts";
import { quoted } from "@/format/shell";
import { ID, keep, keepAsTemplate } from "@/views/builder/calls";
import type { Draft } from "@/views/builder/draft";
import * as store from "@/views/builder/store";

const ID_WORDS = "letters, digits, '.', '_' and '-', at most 64";
const PURPOSE = "What it is for (may stay empty)";

/** Return what forgets the lists of what is kept: they are asked for anew. */
export function useKeptAnew(): () => Promise<void> {
  const client = useQueryClient();
  return () =>
    client.invalidateQueries({
      predicate: ({ queryKey }) =>
        ["/api/configs", "/api/templates"].includes(String(queryKey[1] ?? "")),
    });
}

/** Keep the draft as a new configuration. */
export function SaveDialog({ draft, onClose }: { draft: Draft; onClose: () => void }) {
  const toasts = useToasts();
  const anew = useKeptAnew();
  const [id, setId] = useState(draft.id);
  const [name, setName] = useState(draft.name);
  const [description, setDescription] = useState(draft.description);
  return (
    <FormDialog
      title="Save as a new configuration"
      verb="Save"
      command={`buildnet config import FILE --as ${quoted(id || "NAME")}`}
      ready={ID.test(id)}
      onClose={onClose}
      act={async () => {
        const named = { ...draft, id, name, description };
        const kept = await keep(named, null);
        store.edit(named);
        store.saved(kept.draft, kept.version);
        await anew();
        toasts.done(`Saved as ${kept.draft.id}, version ${kept.version}`);
      }}
    >
      <TextField
        label="Id"
        hint={ID_WORDS}
        required
        spellCheck={false}
        value={id}
        onChange={setId}
      />
      <TextField label="Title (may stay empty)" maxLength={100} value={name} onChange={setName} />
      <TextField label={PURPOSE} maxLength={1000} value={description} onChange={setDescription} />
    </FormDialog>
  );
}

/** Keep the draft as a template that others fill in. */
export function SaveTemplateDialog({ draft, onClose }: { draft: Draft; onClose: () => void }) {
  const toasts = useToasts();
  const anew = useKeptAnew();
  const [id, setId] = useState("");
  const [description, setDescription] = useState(draft.description);
  return (
    <FormDialog
      title="Save as a template"
      verb="Save"
      command={`buildnet template save ${quoted(id || "NAME")} --config ${draft.id || "CONFIGURATION"}`}
      ready={ID.test(id)}
      onClose={onClose}
      act={async () => {
        await keepAsTemplate(draft, id, description);
        await anew();
        toasts.done(`Kept as the template ${id}`);
      }}
    >
      <TextField
        label="Id"
        hint={ID_WORDS}
        required
        spellCheck={false}
        value={id}
        onChange={setId}
      />
      <TextField label={PURPOSE} maxLength={1000} value={description} onChange={setDescription} />
    </FormDialog>
  );
}

import {
  Download,
  FilePlus2,
  LayoutTemplate,
  Play,
  Redo2,
  Save,
  Undo2,
  Upload,
} from "lucide-react";
import { useState } from "react";
import { Problem } from "@/api/problem";
import { useMay } from "@/api/session";
import { Badge } from "@/components/badge";
import { useToasts } from "@/components/toasts";
import { keep } from "@/views/builder/calls";
import { ConflictDialog } from "@/views/builder/conflict-dialog";
import { EMPTY } from "@/views/builder/draft";
import type { Target } from "@/views/builder/estimate";
import { ExportDialog } from "@/views/builder/export-dialog";
import type { History } from "@/views/builder/history";
import { ImportDialog, TemplateDialog } from "@/views/builder/load-dialogs";
import { RunDialog } from "@/views/builder/run-dialog";
import { SaveDialog, SaveTemplateDialog, useKeptAnew } from "@/views/builder/save-dialogs";
import type { Shaped } from "@/views/builder/store";
import * as store from "@/views/builder/store";

type Open = "save" | "conflict" | "save template" | "template" | "import" | "export" | "run" | null;

/** The code of a problem: somebody else has saved another version meanwhile. */
const CONFLICT = "CONFLICT";

/** What can be done with the draft as a whole. */
export function Toolbar({ history, target }: { history: History<Shaped>; target: Target }) {
  const [open, setOpen] = useState<Open>(null);
  const toasts = useToasts();
  const anew = useKeptAnew();
  const maySave = useMay("modify-config");
  const mayRun = useMay("trigger-build");
  const { draft, version } = history.present;
  const unsaved = store.isUnsaved(history.present);
  const isChange = draft.id !== "" && version !== null;
  const close = () => setOpen(null);

  const save = async () => {
    if (!isChange) {
      setOpen("save");
      return;
    }
    try {
      const kept = await keep(draft, version);
      store.saved(kept.draft, kept.version);
      await anew();
      toasts.done(`Saved ${draft.id}, version ${kept.version}`);
    } catch (problem) {
      if (Problem.from(problem).code === CONFLICT) setOpen("conflict");
      else toasts.failed(problem, `buildnet config edit ${draft.id}`);
    }
  };

  return (
    <div className="builder-bar">
      <div className="row">
        <strong>{draft.name || draft.id || "A new configuration"}</strong>
        {draft.name !== "" && draft.id !== "" && <code className="soft small">{draft.id}</code>}
        {version !== null && <span className="soft small">version {version}</span>}
        {unsaved && <Badge tone="warn">unsaved changes</Badge>}
      </div>
      <div className="row">
        <button
          type="button"
          className="button icon"
          aria-label="Undo"
          title="Undo (Ctrl+Z)"
          disabled={history.past.length === 0}
          onClick={store.undo}
        >
          <Undo2 aria-hidden size={16} />
        </button>
        <button
          type="button"
          className="button icon"
          aria-label="Redo"
          title="Redo (Ctrl+Shift+Z)"
          disabled={history.future.length === 0}
          onClick={store.redo}
        >
          <Redo2 aria-hidden size={16} />
        </button>
        <button
          type="button"
          className="button"
          title="Begin anew; what is here is one undo away"
          onClick={() => store.load(EMPTY)}
        >
          <FilePlus2 aria-hidden size={16} /> New
        </button>
        <button type="button" className="button" onClick={() => setOpen("template")}>
          <LayoutTemplate aria-hidden size={16} /> From a template
        </button>
        <button type="button" className="button" onClick={() => setOpen("import")}>
          <Upload aria-hidden size={16} /> Import
        </button>
        <button type="button" className="button" onClick={() => setOpen("export")}>
          <Download aria-hidden size={16} /> Export
        </button>
        {maySave && (
          <>
            <button type="button" className="button" onClick={() => setOpen("save template")}>
              <LayoutTemplate aria-hidden size={16} /> Save as template
            </button>
            {isChange && (
              <button type="button" className="button" onClick={() => setOpen("save")}>
                Save as…
              </button>
            )}
            <button type="button" className="button" disabled={isChange && !unsaved} onClick={save}>
              <Save aria-hidden size={16} /> Save
            </button>
          </>
        )}
        {mayRun && (
          <button type="button" className="button primary" onClick={() => setOpen("run")}>
            <Play aria-hidden size={16} /> Run
          </button>
        )}
      </div>
      {open === "save" && <SaveDialog draft={draft} onClose={close} />}
      {open === "conflict" && (
        <ConflictDialog id={draft.id} onKeepMine={() => setOpen("save")} onClose={close} />
      )}
      {open === "save template" && <SaveTemplateDialog draft={draft} onClose={close} />}
      {open === "template" && <TemplateDialog chosen="" onClose={close} />}
      {open === "import" && <ImportDialog onClose={close} />}
      {open === "export" && <ExportDialog draft={draft} onClose={close} />}
      {open === "run" && (
        <RunDialog
          draft={draft}
          version={version}
          unsaved={unsaved}
          target={target}
          onClose={close}
        />
      )}
    </div>
  );
}

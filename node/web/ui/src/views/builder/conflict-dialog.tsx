import { FormDialog } from "@/components/dialog";
import { quoted } from "@/format/shell";
import { kept } from "@/views/builder/calls";
import * as store from "@/views/builder/store";

/** Somebody saved another version meanwhile: theirs is taken up, or one's own kept besides it. */
export function ConflictDialog({
  id,
  onKeepMine,
  onClose,
}: {
  id: string;
  onKeepMine: () => void;
  onClose: () => void;
}) {
  return (
    <FormDialog
      title={`Somebody else changed ${id} meanwhile`}
      verb="Load theirs"
      command={`buildnet config show ${quoted(id)}`}
      onClose={onClose}
      act={async () => {
        const { draft, version } = await kept(id);
        store.load(draft, version);
      }}
    >
      <p>
        Yours was not saved. Load theirs to go on from it, and yours is one undo away; or keep yours
        under another id.
      </p>
      <div>
        <button type="button" className="button" onClick={onKeepMine}>
          Keep mine under another id
        </button>
      </div>
    </FormDialog>
  );
}

import type { Schema } from "@/api/client";
import { Command } from "@/components/command";
import { Dialog } from "@/components/dialog";
import { dateTime } from "@/format/format";

/** A key that was just made: it is shown here, and never again. */
export function SecretDialog({ made, onClose }: { made: Schema["NewKey"]; onClose: () => void }) {
  return (
    <Dialog title={`The key ${made.name}`} onClose={onClose}>
      <p>
        Copy it now: no node keeps it, and it is not shown again. It counts until{" "}
        {dateTime(made.expires_at)}.
      </p>
      <Command line={made.key} />
      <p className="soft small">
        A program gives it as BUILDNET_KEY, or as "Authorization: Bearer …".
      </p>
      <div className="row dialog-ends">
        <button type="button" className="button primary" onClick={onClose}>
          I have it
        </button>
      </div>
    </Dialog>
  );
}

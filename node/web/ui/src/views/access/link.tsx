import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { Command } from "@/components/command";
import { Dialog, FormDialog } from "@/components/dialog";
import { dateTime } from "@/format/format";

/** Makes a link that logs an account in, once. */
export function LinkDialog({ account, onClose }: { account: string; onClose: () => void }) {
  const [link, setLink] = useState<Schema["LoginLink"] | null>(null);
  const make = async () => {
    const { data } = await api.POST("/api/logins", { body: { account } });
    setLink(data ?? null);
  };
  if (link === null) {
    return (
      <FormDialog
        title={`A login link for ${account}`}
        verb="Make the link"
        stays
        command={`buildnet login --as ${account}`}
        act={make}
        onClose={onClose}
      >
        <p>
          Whoever has the link logs in as {account}, once, within ten minutes. Send it only to them.
        </p>
      </FormDialog>
    );
  }
  return (
    <Dialog title={`A login link for ${account}`} onClose={onClose}>
      <p>Good once, until {dateTime(link.expires_at)}.</p>
      <Command line={link.network_url ?? link.url} />
      {link.network_url === null && (
        <p className="soft small">
          This node is not reached from elsewhere: it is for a browser on its host.
        </p>
      )}
      {link.warning && <div className="notice warn">{link.warning}</div>}
      <div className="row dialog-ends">
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

import { Download } from "lucide-react";
import { api } from "@/api/client";
import { ActionButton } from "@/components/action-button";
import { Command } from "@/components/command";
import { save } from "@/components/save";
import type { Entry } from "@/views/ledger/use-entries";

const ID_CHARACTERS = 16;

/** The proof that an entry is sealed: a file that anybody can check, without a node or a network. */
export function ProofCard({ entry }: { entry: Entry }) {
  const file = `ledger-${entry.id.slice(0, ID_CHARACTERS)}.proof`;
  const fetchProof = async () => {
    const { data } = await api.GET("/api/ledger/entries/{entry_id}/proof", {
      params: { path: { entry_id: entry.id } },
    });
    if (data !== undefined) saveProof(data.proof, file);
  };
  return (
    <section className="card stack tight" aria-labelledby="entry-proof">
      <h2 id="entry-proof">Proof</h2>
      {entry.sealed === null ? (
        <p>
          It is on this node's disk, and not sealed yet: there is a proof of it once a majority of
          the voters has signed.
        </p>
      ) : (
        <>
          <p>
            A majority of the voters signed it with seal {entry.sealed}. The file proves that to
            anybody who knows the cluster's id.
          </p>
          <div>
            <ActionButton
              act={fetchProof}
              done={`Saved as ${file}`}
              command={`buildnet ledger prove ${entry.id.slice(0, ID_CHARACTERS)}`}
            >
              <Download aria-hidden size={16} />
              Download the proof
            </ActionButton>
          </div>
          <p className="small soft">Check it anywhere:</p>
          <Command line={`buildnet ledger check-proof ${file}`} />
        </>
      )}
    </section>
  );
}

function saveProof(base64: string, name: string): void {
  save(new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]), name);
}

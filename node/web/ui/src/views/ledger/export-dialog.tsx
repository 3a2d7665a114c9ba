import { useState } from "react";
import { Command } from "@/components/command";
import { Dialog } from "@/components/dialog";
import { Choice } from "@/components/filters";
import { commandOptions, queryText, useLedgerFilter } from "@/views/ledger/filter";

const FORMATS = [
  ["json", "JSON"],
  ["ndjson", "JSON, one entry a line"],
  ["csv", "CSV, for spreadsheets"],
  ["checkable", "all that is sealed, with what proves it"],
] as const;

/** Downloads the entries that fit the filters, or everything in the form that can be checked. */
export function ExportDialog({ onClose }: { onClose: () => void }) {
  const [format, setFormat] = useState<string>("json");
  const filter = useLedgerFilter();
  const isCheckable = format === "checkable";
  const query = isCheckable ? "" : queryText(filter);
  const options = isCheckable ? "" : commandOptions(filter);
  const file = `ledger.${isCheckable ? "checkable" : format}`;
  return (
    <Dialog title="Export the ledger" onClose={onClose}>
      <Choice label="As" value={format} options={FORMATS} onChange={setFormat} />
      <p>
        {isCheckable
          ? "Anybody can check this file without a node: buildnet audit verify FILE."
          : query === ""
            ? "All entries, in their order."
            : "The entries that fit the filters of the timeline, in their order."}
      </p>
      <Command line={`buildnet audit export --format ${format}${options} --out ${file}`} />
      <div className="row ledger-buttons">
        <button type="button" className="button" onClick={onClose}>
          Back
        </button>
        <a
          className="button primary"
          href={`/api/ledger/export?format=${format}${query === "" ? "" : `&${query}`}`}
          download={file}
          onClick={onClose}
        >
          Download
        </a>
      </div>
    </Dialog>
  );
}

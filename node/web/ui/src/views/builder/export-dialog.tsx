import { useQuery } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useState } from "react";
import { Command, CopyButton } from "@/components/command";
import { Dialog } from "@/components/dialog";
import { Choice } from "@/components/filters";
import { save } from "@/components/save";
import { type Draft, toDocument } from "@/views/builder/draft";
import { toJson, toYaml } from "@/views/builder/text";

/** The draft as a file, as the command line prints it. */
export function ExportDialog({ draft, onClose }: { draft: Draft; onClose: () => void }) {
  const [format, setFormat] = useState("yaml");
  const document = toDocument(draft);
  const text = useQuery({
    queryKey: ["exported", format, document],
    queryFn: async () => (format === "yaml" ? await toYaml(document) : toJson(document)),
  }).data;
  const saveText = () =>
    save(
      new Blob([text ?? ""], { type: "text/plain" }),
      `${draft.id || "configuration"}.${format}`,
    );
  return (
    <Dialog title="Export the configuration" onClose={onClose}>
      <div className="row between">
        <Choice
          label="Format"
          value={format}
          options={[
            ["yaml", "YAML"],
            ["json", "JSON"],
          ]}
          onChange={setFormat}
        />
        <div className="row">
          <CopyButton text={text ?? ""} label="Copy the text" />
          <button type="button" className="button" onClick={saveText} disabled={text === undefined}>
            <Download aria-hidden size={16} /> Download
          </button>
        </div>
      </div>
      <textarea
        className="input mono"
        rows={16}
        readOnly
        spellCheck={false}
        aria-label="The configuration as text"
        value={text ?? ""}
      />
      {draft.id !== "" && <Command line={`buildnet config export ${draft.id}`} />}
      <div className="row dialog-ends">
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

import { CircleAlert, CircleCheck } from "lucide-react";
import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { FormDialog } from "@/components/dialog";
import { count, plural } from "@/format/format";

/** Checks everything that this node holds of the ledger, and says what came of it. */
export default function VerifyDialog({ onClose }: { onClose: () => void }) {
  const [report, setReport] = useState<Schema["LedgerCheck"] | null>(null);
  const verify = async () => {
    setReport(null);
    const { data } = await api.POST("/api/ledger/verify", { body: {} });
    if (typeof data === "object") setReport(data);
  };
  return (
    <FormDialog
      title="Verify the ledger"
      verb={report === null ? "Verify" : "Verify again"}
      stays
      command="buildnet ledger verify"
      act={verify}
      onClose={onClose}
    >
      <p>Every chain, signature and seal that this node holds is checked, as far as it can be.</p>
      <output>
        {report !== null && (
          <div className={`notice ${report.verified ? "good" : "bad"}`}>
            <div className="row">
              {report.verified ? (
                <CircleCheck aria-hidden size={18} color="var(--good)" />
              ) : (
                <CircleAlert aria-hidden size={18} color="var(--bad)" />
              )}
              <strong>
                {report.verified
                  ? "Everything is as it was written"
                  : plural(report.errors.length, "fault")}
              </strong>
            </div>
            <p className="soft">
              {count(report.entries_checked)} entries and {count(report.seals_checked)} seals
              checked
              {report.pruned > 0 && `, ${count(report.pruned)} pruned`}
            </p>
            {report.errors.slice(0, 20).map((fault) => (
              <p key={`${fault.where} ${fault.what}`}>
                <code>{fault.where}</code>: {fault.what}
              </p>
            ))}
          </div>
        )}
      </output>
    </FormDialog>
  );
}

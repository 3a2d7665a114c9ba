import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { Dialog } from "@/components/dialog";
import { Field } from "@/components/field";
import { ProblemView } from "@/components/problem-view";
import { RightsChoice } from "@/views/access/rights";

/** Makes an account for a person. */
export function NewAccountDialog({
  onClose,
  onMade,
}: {
  onClose: () => void;
  onMade: () => Promise<unknown>;
}) {
  const [id, setId] = useState("");
  const [description, setDescription] = useState("");
  const [rights, setRights] = useState<Schema["Rights"]>("builder");
  const [problem, setProblem] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await api.POST("/api/accounts", { body: { id, rights, description } });
      await onMade();
      onClose();
    } catch (thrown) {
      setProblem(thrown);
      setBusy(false);
    }
  };
  return (
    <Dialog title="New account" onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <Field label="Name">
          <input
            className="input"
            required
            maxLength={64}
            value={id}
            onChange={(event) => setId(event.target.value)}
          />
        </Field>
        <Field label="Who that is">
          <input
            className="input"
            value={description}
            onChange={(event) => setDescription(event.target.value)}
          />
        </Field>
        <RightsChoice value={rights} onChange={setRights} />
        <p className="soft small">It has no password: make a login link for it, and send that.</p>
        {problem !== null && (
          <ProblemView
            problem={problem}
            command={`buildnet account add ${id || "NAME"} --rights ${rights}`}
          />
        )}
        <div className="row" style={{ justifyContent: "flex-end" }}>
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
          <button type="submit" className="button primary" disabled={busy}>
            Make the account
          </button>
        </div>
      </form>
    </Dialog>
  );
}

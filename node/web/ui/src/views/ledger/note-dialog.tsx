import { type FormEvent, useState } from "react";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { Command } from "@/components/command";
import { Dialog } from "@/components/dialog";
import { Field, TextField } from "@/components/field";
import { ProblemView } from "@/components/problem-view";
import { useToasts } from "@/components/toasts";
import { quoted } from "@/format/shell";

const REQUEST_BYTES = 16;

/** Puts a note on record; who repeats it after a failure records it once. */
export function NoteDialog({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [entity, setEntity] = useState("");
  const [isSealed, setSealed] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const [request] = useState(randomHex);
  const [, go] = useLocation();
  const toasts = useToasts();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const ack = isSealed ? "sealed" : "local";
      const body = {
        text: text.trim(),
        entity: entity.trim(),
        ack,
        request,
        actor: "local",
      } as const;
      await api.POST("/api/ledger/entries", { body });
      toasts.done(isSealed ? "Noted and sealed" : "Noted");
      onClose();
      go("/ui/ledger");
    } catch (thrown) {
      setProblem(thrown);
      setBusy(false);
    }
  };
  return (
    <Dialog title="Write a note" onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <Field label="What everybody should be able to read later on">
          <textarea
            className="input"
            rows={4}
            required
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        </Field>
        <TextField
          label="About (optional)"
          hint="Such as node:NAME, build:ID or config:NAME."
          autoComplete="off"
          spellCheck={false}
          value={entity}
          onChange={setEntity}
        />
        <label className="row">
          <input
            type="checkbox"
            checked={isSealed}
            onChange={(event) => setSealed(event.target.checked)}
          />
          Wait until a majority of the voters has it on disk
        </label>
        <Command line={`buildnet ledger note ${quoted(text.trim() || "TEXT")}`} />
        {problem !== null && <ProblemView problem={problem} />}
        <div className="row ledger-buttons">
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
          <button type="submit" className="button primary" disabled={busy || text.trim() === ""}>
            {busy ? (isSealed ? "Waiting for the seal…" : "…") : "Put on record"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function randomHex(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(REQUEST_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

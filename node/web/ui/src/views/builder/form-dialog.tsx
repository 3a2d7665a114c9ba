import { type ReactNode, useState } from "react";
import { Command } from "@/components/command";
import { Dialog } from "@/components/dialog";
import { ProblemView } from "@/components/problem-view";

/** A dialog that does one thing at the node; what went wrong is shown, and it stays. */
export function FormDialog({
  title,
  verb,
  command,
  disabled = false,
  act,
  onClose,
  children,
}: {
  title: string;
  verb: string;
  /** The same on the command line. */
  command?: string;
  disabled?: boolean;
  act: () => Promise<unknown>;
  onClose: () => void;
  children: ReactNode;
}) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await act();
      onClose();
    } catch (thrown) {
      setProblem(thrown);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        {children}
        {problem !== null && <ProblemView problem={problem} />}
        {command && <Command line={command} />}
        <div className="row dialog-ends">
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
          <button type="submit" className="button primary" disabled={disabled || busy}>
            {busy ? "…" : verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

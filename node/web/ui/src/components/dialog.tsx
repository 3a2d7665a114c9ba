import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Command } from "@/components/command";
import { ProblemView } from "@/components/problem-view";

/** A modal window; Escape closes it, and the browser brings the focus back to where it was. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={id} onCancel={onClose}>
      <div className="stack">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

/**
 * Asks before something is destroyed or somebody is shut out: the name has to be typed. `act` may
 * throw; what went wrong is shown, and the window stays.
 */
export function ConfirmByName({
  title,
  name,
  verb,
  command,
  act,
  onClose,
  children,
}: {
  title: string;
  name: string;
  /** What the button says: "Revoke". */
  verb: string;
  command?: string;
  act: () => Promise<unknown>;
  onClose: () => void;
  /** What will happen, in words. */
  children: ReactNode;
}) {
  const [typed, setTyped] = useState("");
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
        <div>{children}</div>
        <label className="field">
          <span>
            Type <strong>{name}</strong> to go on
          </span>
          <input
            className="input"
            autoComplete="off"
            spellCheck={false}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
          />
        </label>
        {command && <Command line={command} />}
        {problem !== null && <ProblemView problem={problem} />}
        <div className="row" style={{ justifyContent: "flex-end" }}>
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
          <button type="submit" className="button danger" disabled={typed !== name || busy}>
            {busy ? "…" : verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

import { type ReactNode, useId, useLayoutEffect, useRef, useState } from "react";
import { Command } from "@/components/command";
import { ProblemView } from "@/components/problem-view";
import { seen } from "@/format/seen";

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
  // A layout effect: it is closed while it is still there, else the focus would be lost.
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  const cancelled = (event: React.SyntheticEvent) => {
    // Who turns away from choosing a file does not close the window: that event comes up here, too.
    if (event.target === event.currentTarget) onClose();
  };
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={id} onCancel={cancelled}>
      <div className="stack">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

/**
 * A modal window with something to fill in. `act` may throw; what went wrong is shown, and the
 * window stays. Once `act` is done it closes, but for `stays`: then the caller shows what came of it.
 */
export function FormDialog({
  title,
  verb,
  danger = false,
  ready = true,
  stays = false,
  command,
  act,
  onClose,
  children,
}: {
  title: string;
  /** What the button says: "Revoke". */
  verb: string;
  danger?: boolean;
  /** Whether all is filled in that is needed. */
  ready?: boolean;
  stays?: boolean;
  /** The matching command, to do it in a terminal. */
  command?: string;
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
      if (!stays) onClose();
    } catch (thrown) {
      setProblem(thrown);
    }
    setBusy(false);
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        {children}
        {command && <Command line={command} />}
        {problem !== null && <ProblemView problem={problem} />}
        <div className="row dialog-ends">
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
          <button
            type="submit"
            className={danger ? "button danger" : "button primary"}
            disabled={!ready || busy}
          >
            {busy ? "…" : verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/**
 * Asks before something is destroyed or somebody is shut out: the name has to be typed, but for what
 * is one's own and can be had again (`isOwn`): then the title names it.
 */
export function ConfirmByName({
  name,
  isOwn = false,
  children,
  ...rest
}: {
  title: string;
  name: string;
  isOwn?: boolean;
  verb: string;
  command?: string;
  act: () => Promise<unknown>;
  onClose: () => void;
  /** What will happen, in words. */
  children: ReactNode;
}) {
  const [typed, setTyped] = useState("");
  return (
    <FormDialog {...rest} danger ready={isOwn || seen(typed) === seen(name)}>
      <div>{children}</div>
      {!isOwn && (
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
      )}
    </FormDialog>
  );
}

import { type ReactNode, useState } from "react";
import { useToasts } from "@/components/toasts";

/** A button that does something at the node: it waits while that lasts, and tells how it went. */
export function ActionButton({
  act,
  done,
  command,
  className = "button",
  disabled = false,
  children,
}: {
  act: () => Promise<unknown>;
  /** What is said once it is done; none: nothing. */
  done?: string;
  /** The same on the command line, told where it fails. */
  command?: string;
  className?: string;
  disabled?: boolean;
  children: ReactNode;
}) {
  const toasts = useToasts();
  const [busy, setBusy] = useState(false);
  const click = async () => {
    setBusy(true);
    try {
      await act();
      if (done !== undefined) toasts.done(done);
    } catch (problem) {
      toasts.failed(problem, command);
    } finally {
      setBusy(false);
    }
  };
  return (
    <button
      type="button"
      className={className}
      disabled={disabled || busy}
      aria-busy={busy}
      onClick={click}
    >
      {children}
    </button>
  );
}

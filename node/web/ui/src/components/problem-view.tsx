import { CircleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { Problem } from "@/api/problem";
import { Command } from "@/components/command";

/** What went wrong, why, what helps, and how the command line says the same. */
export function ProblemView({
  problem,
  command,
  onRetry,
  children,
}: {
  problem: unknown;
  /** The matching command, to try in a terminal. */
  command?: string;
  onRetry?: () => void;
  children?: ReactNode;
}) {
  const { message, code, reason, hint } = Problem.from(problem);
  return (
    <div className="notice bad" role="alert">
      <div className="row">
        <CircleAlert aria-hidden size={18} color="var(--bad)" />
        <strong>{message}</strong>
        <code className="soft small">{code}</code>
      </div>
      {reason && <p className="soft">Cause: {reason}</p>}
      {hint && <p>What helps: {hint}</p>}
      {children}
      {command && <Command line={command} />}
      {onRetry && (
        <div>
          <button type="button" className="button" onClick={onRetry}>
            Try again
          </button>
        </div>
      )}
    </div>
  );
}

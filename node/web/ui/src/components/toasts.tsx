import { X } from "lucide-react";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { Problem } from "@/api/problem";
import { ProblemView } from "@/components/problem-view";

interface Toast {
  id: number;
  content: string | Problem;
  command: string | undefined;
}

interface Toaster {
  /** Say what was done; goes by itself. */
  done: (words: string) => void;
  /** Say what went wrong; stays until somebody closes it. */
  failed: (problem: unknown, command?: string) => void;
}

const ToastContext = createContext<Toaster | null>(null);
const GOES_AFTER_MS = 5_000;
let lastId = 0;

export function useToasts(): Toaster {
  const toaster = useContext(ToastContext);
  if (toaster === null) throw new Error("a view that tells something stands outside of Toasts");
  return toaster;
}

/** Short messages in a corner, read out by screen readers. */
export function Toasts({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([]);
  const close = useCallback(
    (id: number) => setToasts((all) => all.filter((one) => one.id !== id)),
    [],
  );
  const toaster = useMemo<Toaster>(() => {
    const add = (content: string | Problem, command?: string) => {
      lastId += 1;
      const id = lastId;
      setToasts((all) => [...all.slice(-3), { id, content, command }]);
      return id;
    };
    return {
      done: (words) => {
        const id = add(words);
        setTimeout(() => close(id), GOES_AFTER_MS);
      },
      failed: (problem, command) => {
        add(Problem.from(problem), command);
      },
    };
  }, [close]);
  return (
    <ToastContext value={toaster}>
      {children}
      <div className="toasts" role="status">
        {toasts.map((toast) => (
          <div
            key={toast.id}
            className={toast.content instanceof Problem ? "notice bad" : "notice good"}
          >
            <div className="row between" style={{ flexWrap: "nowrap" }}>
              {toast.content instanceof Problem ? (
                <ProblemView
                  problem={toast.content}
                  {...(toast.command && { command: toast.command })}
                />
              ) : (
                <span>{toast.content}</span>
              )}
              <button
                type="button"
                className="button plain icon"
                aria-label="Close this message"
                onClick={() => close(toast.id)}
              >
                <X aria-hidden size={16} />
              </button>
            </div>
          </div>
        ))}
      </div>
    </ToastContext>
  );
}

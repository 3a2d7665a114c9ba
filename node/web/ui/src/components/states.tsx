import type { ReactNode } from "react";

/** What stands where nothing is yet: why, and what to do about it. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="notice">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/** Lines that breathe while data comes; screen readers hear what for. */
export function Loading({ what, lines = 3 }: { what: string; lines?: number }) {
  return (
    <div className="stack tight" role="status">
      <span className="unseen">Loading {what}…</span>
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines are all the same
        <div key={line} className="skeleton" style={{ width: `${95 - line * 12}%` }} />
      ))}
    </div>
  );
}

import type { ReactNode } from "react";
import { Age } from "@/components/age";
import { useSilence } from "@/live/use-silence";

/** What stands where nothing is yet: why, and what to do about it. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="notice">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/**
 * Lines that breathe while data comes; screen readers hear what for. Where the node can't be heard
 * nothing comes, and it says so.
 */
export function Loading({ what, lines = 3 }: { what: string; lines?: number }) {
  const silence = useSilence();
  if (silence !== null) {
    return (
      <Empty title="Not known: the node can't be heard">
        <p>
          It did not answer what was asked: {what}. It was last heard <Age at={silence.heardAt} />
          {silence.reason && ` (${silence.reason})`}.
        </p>
      </Empty>
    );
  }
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

import type { ReactNode } from "react";

/** A line of a form: its label, what is filled in, and what one should know. */
export function Field({
  label,
  hint,
  children,
}: {
  label: string;
  hint?: ReactNode;
  /** The input. */
  children: ReactNode;
}) {
  return (
    <div className="field">
      {/* biome-ignore lint/a11y/noLabelWithoutControl: the input is among the children */}
      <label className="field">
        <span>{label}</span>
        {children}
      </label>
      {hint && <span className="soft small">{hint}</span>}
    </div>
  );
}

import type { ComponentProps, ReactNode } from "react";

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

type Own = "value" | "onChange";

/** A line of a form in which something is typed. */
export function TextField({
  label,
  hint,
  maxLength,
  onChange,
  ...input
}: {
  label: string;
  hint?: ReactNode;
  value: string;
  onChange: (value: string) => void;
} & Omit<ComponentProps<"input">, Own>) {
  const { length } = input.value;
  // Not the input's own limit: that would cut off silently what is pasted.
  const tooLong =
    maxLength !== undefined && length > maxLength
      ? `${length} characters are too many: ${maxLength} at most`
      : "";
  return (
    <Field label={label} hint={tooLong === "" ? hint : <strong role="alert">{tooLong}</strong>}>
      <input
        className="input"
        {...input}
        ref={(shown) => shown?.setCustomValidity(tooLong)}
        aria-invalid={tooLong !== ""}
        onChange={(event) => onChange(event.target.value)}
      />
    </Field>
  );
}

/** A line of a form in which one of several is chosen. */
export function SelectField<Value extends string>({
  label,
  hint,
  options,
  onChange,
  ...select
}: {
  label: string;
  hint?: ReactNode;
  value: Value;
  /** Pairs of value and words; plain strings are both. */
  options: readonly (Value | readonly [Value, string])[];
  onChange: (value: Value) => void;
} & Omit<ComponentProps<"select">, Own>) {
  return (
    <Field label={label} hint={hint}>
      <select
        className="input"
        {...select}
        onChange={(event) => onChange(event.target.value as Value)}
      >
        {options.map((option) => {
          const [value, words] = typeof option === "string" ? [option, option] : option;
          return (
            <option key={value} value={value}>
              {words}
            </option>
          );
        })}
      </select>
    </Field>
  );
}

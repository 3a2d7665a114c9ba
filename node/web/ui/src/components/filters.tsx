import { Search } from "lucide-react";
import { useId } from "react";
import { plural } from "@/format/format";

/** A line of filters above a list, and how many are shown of how many. */
export function FilterBar({
  children,
  shown,
  total,
  noun,
  many = `${noun}s`,
}: {
  children: React.ReactNode;
  /** null: the node has not told any yet. */
  shown: number | null;
  /** null: more are there than were fetched. */
  total: number | null;
  /** In the singular: "build". */
  noun: string;
  /** Its plural, where that is not made by an s. */
  many?: string;
}) {
  return (
    <search className="row" style={{ marginBottom: "var(--space-3)" }}>
      {children}
      <output className="soft small" style={{ marginLeft: "auto" }}>
        {shown === null
          ? `how many ${many} is not known`
          : total === null
            ? `${plural(shown, noun, many)} shown, more follow`
            : shown === total
              ? plural(total, noun, many)
              : `${shown} of ${plural(total, noun, many)}`}
      </output>
    </search>
  );
}

export function SearchBox({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
}) {
  const id = useId();
  return (
    <div className="row" style={{ flexWrap: "nowrap", maxWidth: "20rem", flex: "1 1 12rem" }}>
      <label htmlFor={id} className="row">
        <Search aria-hidden size={16} />
        <span className="unseen">{label}</span>
      </label>
      <input
        id={id}
        type="search"
        className="input"
        placeholder={label}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </div>
  );
}

export function Choice({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: string;
  /** Pairs of value and words; plain strings are both. */
  options: readonly (string | readonly [string, string])[];
  onChange: (value: string) => void;
}) {
  const id = useId();
  const pairs = options.map((option) =>
    typeof option === "string" ? ([option, option || "any"] as const) : option,
  );
  // An address may name what is no choice (any more): it filters all the same, and is shown.
  if (!pairs.some(([key]) => key === value)) pairs.push([value, value]);
  return (
    <div className="row" style={{ flexWrap: "nowrap", minWidth: 0, maxWidth: "100%" }}>
      <label htmlFor={id} className="soft small">
        {label}
      </label>
      <select
        id={id}
        className="input"
        style={{ width: "auto", minWidth: 0, maxWidth: "24rem", flex: "0 1 auto" }}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      >
        {pairs.map(([key, words]) => (
          <option key={key} value={key}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}

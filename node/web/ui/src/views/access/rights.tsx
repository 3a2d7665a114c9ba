import type { Schema } from "@/api/client";

type Rights = Schema["Rights"];

const MEANING: Record<Rights, string> = {
  observer: "sees everything, changes nothing",
  builder: "builds, and cancels its own builds",
  admin: "everything that is the cluster's",
};

/** Which rights somebody gets, each with what it means. */
export function RightsChoice({
  value,
  onChange,
}: {
  value: Rights;
  onChange: (rights: Rights) => void;
}) {
  return (
    <fieldset className="field" style={{ border: 0, padding: 0, margin: 0 }}>
      <legend>Rights</legend>
      {(Object.keys(MEANING) as Rights[]).map((rights) => (
        <label key={rights} className="row">
          <input
            type="radio"
            name="rights"
            checked={value === rights}
            onChange={() => onChange(rights)}
          />
          {rights} <span className="soft small">{MEANING[rights]}</span>
        </label>
      ))}
    </fieldset>
  );
}

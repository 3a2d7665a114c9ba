import { useState } from "react";
import { SearchBox } from "@/components/filters";
import { plural } from "@/format/format";

const SHOWN = 60;

/** Choose packages; none: all of them. */
export function PackagePicker({
  packages,
  chosen,
  onChange,
}: {
  packages: readonly string[];
  chosen: ReadonlySet<string>;
  onChange: (chosen: ReadonlySet<string>) => void;
}) {
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  const found = packages.filter((name) => name.toLowerCase().includes(wanted));
  const toggle = (name: string) => {
    const after = new Set(chosen);
    if (!after.delete(name)) after.add(name);
    onChange(after);
  };
  return (
    <fieldset className="package-picker">
      <legend>
        Packages{" "}
        <span className="soft small">
          {chosen.size === 0 ? `all ${packages.length}` : `${chosen.size} of ${packages.length}`}
        </span>
      </legend>
      <div className="row">
        <SearchBox label="Find a package" value={text} onChange={setText} />
        {chosen.size > 0 && (
          <button type="button" className="button" onClick={() => onChange(new Set())}>
            All
          </button>
        )}
      </div>
      <div className="choices">
        {found.slice(0, SHOWN).map((name) => (
          <label key={name} className="row check">
            <input type="checkbox" checked={chosen.has(name)} onChange={() => toggle(name)} />
            <span className="ellipsis">{name}</span>
          </label>
        ))}
      </div>
      {found.length > SHOWN && (
        <span className="soft small">{plural(found.length - SHOWN, "more package")}: search</span>
      )}
      {found.length === 0 && <span className="soft small">none is called so</span>}
    </fieldset>
  );
}

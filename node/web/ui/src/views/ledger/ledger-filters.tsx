import { X } from "lucide-react";
import { useState } from "react";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import {
  useDraft,
  useFilter,
  useFilterInPlace,
  useSetFilters,
  useTypedFilter,
} from "@/components/url-state";
import { TYPE_CHOICES } from "@/views/ledger/entry-kind";

const SINCE = [
  ["", "any time"],
  ["1h", "the last hour"],
  ["24h", "the last day"],
  ["7d", "the last week"],
  ["30d", "the last 30 days"],
] as const;
const BETWEEN = "between";
const FURTHER = ["entity", "build", "correlation"] as const;

/** What the timeline is narrowed down to; all of it stands in the address. */
export function LedgerFilters({
  shown,
  hasMore,
  names,
}: {
  /** null: nothing was answered yet. */
  shown: number | null;
  hasMore: boolean;
  names: ReadonlyMap<string, string>;
}) {
  const [type, setType] = useFilter("type");
  const [origin, setOrigin] = useFilter("origin");
  const [actor, setActor] = useFilter("actor");
  const [text, setText] = useTypedFilter("text");
  const [sealed, setSealed] = useFilter("sealed");
  return (
    <FilterBar shown={shown} total={hasMore ? null : shown} noun="entry" many="entries">
      <SearchBox label="Words in an entry" value={text} onChange={setText} />
      <Choice label="About" value={type} options={TYPE_CHOICES} onChange={setType} />
      <Choice
        label="Recorded by"
        value={origin}
        options={[["", "any node"], ...names]}
        onChange={setOrigin}
      />
      <span className="ledger-filters-break" />
      <ActorBox actor={actor} onChange={setActor} />
      <Choice
        label="Sealed"
        value={sealed}
        options={[
          ["", "or not"],
          ["yes", "yes"],
          ["no", "not yet"],
        ]}
        onChange={setSealed}
      />
      <TimeFilter />
      {FURTHER.map((name) => (
        <FurtherFilter key={name} name={name} />
      ))}
    </FilterBar>
  );
}

/** The API wants the whole name of an actor: it is asked for once that was typed. */
function ActorBox({ actor, onChange }: { actor: string; onChange: (actor: string) => void }) {
  const [typed, setTyped] = useDraft(actor);
  return (
    <form
      className="row ledger-actor"
      onSubmit={(event) => {
        event.preventDefault();
        onChange(typed.trim());
      }}
    >
      <label className="soft small" htmlFor="ledger-actor">
        By
      </label>
      <input
        id="ledger-actor"
        className="input"
        placeholder="anybody"
        title="The whole name of who did it, such as ann or agent:ci"
        autoComplete="off"
        spellCheck={false}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={() => onChange(typed.trim())}
      />
    </form>
  );
}

function TimeFilter() {
  const [from, setFrom] = useFilterInPlace("from");
  const [to, setTo] = useFilterInPlace("to");
  const setBoth = useSetFilters();
  const [isOpen, setOpen] = useState(false);
  const isShort = SINCE.some(([value]) => value === from);
  const isBetween = isOpen || to !== "" || !isShort;
  const choose = (value: string) => {
    setOpen(value === BETWEEN);
    if (value === BETWEEN) return;
    setBoth({ from: value, to: "" });
  };
  return (
    <>
      <Choice
        label="When"
        value={isBetween ? BETWEEN : from}
        options={[...SINCE, [BETWEEN, "between …"]]}
        onChange={choose}
      />
      {isBetween && (
        <>
          <MomentBox label="From" value={isShort ? "" : from} onChange={setFrom} />
          <MomentBox label="Until" value={to} onChange={setTo} />
        </>
      )}
    </>
  );
}

function MomentBox({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <label className="row small soft">
      {label}
      <input
        type="datetime-local"
        className="input ledger-moment"
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </label>
  );
}

/** A filter that a link brought along, and the way out of it. */
function FurtherFilter({ name }: { name: (typeof FURTHER)[number] }) {
  const [value, setValue] = useFilter(name);
  if (value === "") return null;
  return (
    <span className="badge">
      {name} {value}
      <button
        type="button"
        className="ledger-drop"
        aria-label={`Drop the filter ${name}`}
        onClick={() => setValue("")}
      >
        <X aria-hidden />
      </button>
    </span>
  );
}

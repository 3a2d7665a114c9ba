import type { FormEvent } from "react";
import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { Command } from "@/components/command";
import { TextField } from "@/components/field";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { useDraft, useFilter, useSetFilters } from "@/components/url-state";
import { count, dateTime } from "@/format/format";
import { quoted } from "@/format/shell";
import { entryWords } from "@/pool/entry-words";
import { useEntryNames } from "@/pool/use-entry-names";
import { cellText } from "@/views/ledger/cell-text";
import { withNames } from "@/views/ledger/entries";
import { JsonView } from "@/views/ledger/json-view";
import { useNodeNames } from "@/views/ledger/names";

const SHORT_CHARACTERS = 80;

/** What the ledger says that something was, at a seal or at a moment. */
export function StateAt() {
  const [entity] = useFilter("entity");
  const [at] = useFilter("at");
  const ask = useSetFilters();
  return (
    <div className="stack">
      <Question
        entity={entity}
        at={at}
        onAsk={(wanted, moment) => ask({ entity: wanted, at: moment })}
      />
      {entity === "" ? (
        <Empty title="What was something, and when?">
          <p>
            Name a node, a build, a configuration or whatever else entries are about; the state is
            told by what was sealed up to then.
          </p>
        </Empty>
      ) : (
        <Answer entity={entity} at={at} />
      )}
    </div>
  );
}

function Question({
  entity,
  at,
  onAsk,
}: {
  entity: string;
  at: string;
  onAsk: (entity: string, at: string) => void;
}) {
  const [wanted, setWanted] = useDraft(entity);
  const [moment, setMoment] = useDraft(at);
  const names = useNodeNames();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onAsk(wanted.trim(), moment.trim());
  };
  return (
    <form className="card ledger-question" onSubmit={submit}>
      <TextField
        label="What"
        hint="Such as node:NAME, build:ID, config:NAME or key:ID."
        list="ledger-entities"
        required
        autoComplete="off"
        spellCheck={false}
        value={wanted}
        onChange={setWanted}
      />
      <datalist id="ledger-entities">
        {[...names.values()].map((name) => (
          <option key={name} value={`node:${name}`} />
        ))}
      </datalist>
      <TextField
        label="At"
        hint="A seal's height, 2h ago (2h), or 2026-11-21T12:00Z; empty: now."
        autoComplete="off"
        placeholder="now"
        value={moment}
        onChange={setMoment}
      />
      <button type="submit" className="button primary">
        Look it up
      </button>
    </form>
  );
}

function Answer({ entity, at }: { entity: string; at: string }) {
  const names = useNodeNames();
  const state = query.useQuery("get", "/api/ledger/state", {
    params: { query: { entity, ...(at !== "" && { at }) } },
  });
  const command = `buildnet ledger state --entity ${quoted(entity)}${at === "" ? "" : ` --at ${quoted(at)}`}`;
  const problem = <NotAnswered asked={state} command={command} />;
  if (state.data === undefined)
    return state.error ? problem : <Loading what="the state" lines={5} />;
  const { seal, entry, data, rows, pruned } = state.data;
  if (entry === null) {
    return (
      <>
        {problem}
        <Empty title={`Nothing was sealed about ${entity} ${at === "" ? "yet" : "by then"}`}>
          <Command line={command} />
        </Empty>
      </>
    );
  }
  return (
    <div className="stack">
      {problem}
      <section className="card stack tight" aria-label="State">
        <header>
          <h2>{withNames(state.data.entity, names)}</h2>
          {seal && (
            <span className="soft small">
              as of seal {seal.height}, {dateTime(seal.time)}
            </span>
          )}
        </header>
        <p>
          The last about it: <LastEntry entry={entry} />
        </p>
        {pruned > 0 && (
          <p className="soft small">{pruned} entries about it say nothing any more: pruned.</p>
        )}
        <JsonView value={data} label="State as JSON" />
        <Command line={command} />
      </section>
      {Object.entries(rows).map(([table, all]) =>
        all.length === 0 ? null : <Rows key={table} table={table} rows={all} />,
      )}
    </div>
  );
}

function LastEntry({ entry }: { entry: Schema["LedgerEntry"] }) {
  const called = useEntryNames([entry]);
  return (
    <>
      <Link href={`/ui/ledger/${entry.id}`}>{entryWords(entry, called)}</Link>,{" "}
      {dateTime(entry.time)}
    </>
  );
}

function Rows({ table, rows }: { table: string; rows: Schema["EntityState"]["rows"][string] }) {
  const names = Object.keys(rows[0] ?? {});
  const words = table.replaceAll("_", " ");
  return (
    <section className="stack tight" aria-label={words}>
      <h3>{words}</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard */}
      <section className="table-frame state-rows" aria-label={`Rows of ${words}`} tabIndex={0}>
        <table className="table">
          <thead>
            <tr>
              {names.map((name) => (
                <th key={name} scope="col">
                  {name.replaceAll("_", " ")}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={JSON.stringify(row)}>
                {names.map((name) => (
                  <td key={name}>
                    <Cell name={name} value={row[name]} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

/** A value of a derived table; long ones are opened by who wants them. */
function Cell({ name, value }: { name: string; value: unknown }) {
  const text = cellText(name, value);
  if (text.length <= SHORT_CHARACTERS) return <>{text}</>;
  return (
    <details>
      <summary className="soft">{count(text.length)} characters</summary>
      <code>{text}</code>
    </details>
  );
}

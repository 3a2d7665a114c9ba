import { Fragment, useState } from "react";
import { api, type Schema } from "@/api/client";
import { Badge } from "@/components/badge";
import { ProblemView } from "@/components/problem-view";
import { useToasts } from "@/components/toasts";
import { read, written } from "@/views/settings/value";

/** One setting: its value, where that comes from, and a field to change it. */
export function SettingRow({
  setting,
  onChanged,
}: {
  setting: Schema["Setting"];
  onChanged: () => Promise<unknown>;
}) {
  const [text, setText] = useState<string | null>(null);
  const [wasOpen, setWasOpen] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const toasts = useToasts();
  const save = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const body = { key: setting.key, value: read(text ?? "") };
      const { data } = await api.PUT("/api/node/config", { body });
      toasts.done(
        data?.counts === "now"
          ? `${setting.key} counts now`
          : `${setting.key} counts from the next start on`,
      );
      for (const warning of data?.warnings ?? []) toasts.done(warning);
      setText(null);
      await onChanged();
    } catch (thrown) {
      setProblem(thrown);
    } finally {
      setBusy(false);
    }
  };
  const value = setting.text ?? written(setting.value);
  return (
    <div className="setting">
      <div className="name">
        <code>
          {setting.key.split(/(?<=[._])/).map((part, place) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a name stay where they are
            <Fragment key={place}>
              <wbr />
              {part}
            </Fragment>
          ))}
        </code>
        <div className="soft small">{setting.help}</div>
      </div>
      <span className="value">
        {value === "" ? <span className="soft">not set</span> : <code>{value}</code>}
        {setting.next_start != null && (
          <div className="small">
            from the next start on:{" "}
            <code>{setting.next_start_text ?? written(setting.next_start)}</code>
          </div>
        )}
      </span>
      <span className="row">
        <Badge tone={setting.origin === "default" ? "calm" : "busy"}>{setting.origin}</Badge>
        {!setting.live && <span className="soft small">counts after a start</span>}
      </span>
      {text === null ? (
        <button
          type="button"
          className="button"
          aria-label={`Change ${setting.key}`}
          // biome-ignore lint/a11y/noAutofocus: it takes the place of the field that was closed
          autoFocus={wasOpen}
          onClick={() => {
            setText(value);
            setWasOpen(true);
          }}
        >
          Change
        </button>
      ) : (
        <form className="stack tight" onSubmit={save}>
          <label className="field">
            <span className="unseen">New value of {setting.key}</span>
            <input
              className="input mono"
              // biome-ignore lint/a11y/noAutofocus: it takes the place of the button that was pressed
              autoFocus
              value={text}
              onChange={(event) => setText(event.target.value)}
              onKeyDown={(event) => event.key === "Escape" && setText(null)}
            />
            <span className="soft small">
              {Array.isArray(setting.value) && (
                <>
                  A list is written <code>["one", "two"]</code>.{" "}
                </>
              )}
              Left empty, it goes out of the file and the default counts.
            </span>
          </label>
          {problem !== null && (
            <ProblemView
              problem={problem}
              command={`buildnet node config set ${setting.key} VALUE`}
            />
          )}
          <div className="row">
            <button type="submit" className="button primary" disabled={busy}>
              Save
            </button>
            <button type="button" className="button" onClick={() => setText(null)}>
              Back
            </button>
          </div>
        </form>
      )}
    </div>
  );
}

import { useQueryClient } from "@tanstack/react-query";
import { query, type Schema } from "@/api/client";
import { Badge } from "@/components/badge";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { ViewHead } from "@/layout/frame";
import { SettingRow } from "@/views/settings/setting-row";
import "@/views/settings/settings.css";

type Setting = Schema["Setting"];

const ORIGINS = [
  ["", "anywhere"],
  ["set", "what is set"],
  ["default", "defaults"],
  ["waits", "waits for a start"],
] as const;

/** Every setting of this node: what counts, where it comes from, and changing it. */
export default function Settings() {
  const [text, setText] = useFilterInPlace("q");
  const [origin, setOrigin] = useFilter("from");
  const client = useQueryClient();
  const found = query.useQuery("get", "/api/node/config");
  const unanswered = <NotAnswered asked={found} command="buildnet node config show --origin" />;
  if (found.data === undefined) {
    return found.error ? unanswered : <Loading what="the settings" lines={8} />;
  }
  const { settings, warnings, problem, file } = found.data;
  const rows = settings.filter(
    (one) =>
      comesFrom(one, origin) &&
      `${one.key} ${one.help}`.toLowerCase().includes(text.trim().toLowerCase()),
  );
  const groups = Map.groupBy(rows, groupOf);
  return (
    <>
      <ViewHead title="Settings">
        <code className="soft small">{file}</code>
      </ViewHead>
      <div className="stack">
        {unanswered}
        {problem && <div className="notice bad">{problem}</div>}
        {warnings.map((warning) => (
          <div key={warning} className="notice warn">
            {warning}
          </div>
        ))}
        <FilterBar shown={rows.length} total={settings.length} noun="setting">
          <SearchBox label="Name, or what it is for" value={text} onChange={setText} />
          <Choice label="Comes from" value={origin} options={ORIGINS} onChange={setOrigin} />
        </FilterBar>
        {rows.length === 0 && <Empty title="No setting is like that" />}
        {[...groups].map(([group, some]) => (
          <section key={group} className="card" aria-label={group}>
            <header>
              <h2>{group}</h2>
              {some.some(waits) && <Badge tone="warn">a start is needed</Badge>}
            </header>
            {some.map((one) => (
              <SettingRow
                key={one.key}
                setting={one}
                onChanged={() => client.invalidateQueries()}
              />
            ))}
          </section>
        ))}
      </div>
    </>
  );
}

function comesFrom(setting: Setting, origin: string): boolean {
  if (origin === "default") return setting.origin === "default";
  if (origin === "set") return setting.origin !== "default";
  return origin !== "waits" || waits(setting);
}

/** The section of node.yaml that a setting stands in; those on its outermost level are the node's. */
function groupOf(setting: Setting): string {
  const [section, ...rest] = setting.key.split(".");
  return rest.length > 0 && section !== undefined ? section : "node";
}

function waits(setting: Setting): boolean {
  return setting.next_start !== undefined && setting.next_start !== null;
}

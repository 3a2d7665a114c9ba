import { useQueryClient } from "@tanstack/react-query";
import { api, query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { MoreButton, usePages } from "@/components/pages";
import { Empty, Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilter, useFilterInPlace, useTypedFilter } from "@/components/url-state";
import { bytes, count, duration, shortId } from "@/format/format";
import { ViewHead } from "@/layout/frame";
import { CacheActions } from "@/views/cache/cache-actions";
import { CacheStats } from "@/views/cache/cache-stats";
import { ResultDetail } from "@/views/cache/result-detail";

type Result = Schema["CachedResult"];

const PART = 100;

/** What this node's cache holds, how often it was of use, and looking after it. */
export default function Cache() {
  const mayChange = useMay("modify-resources");
  const client = useQueryClient();
  const stats = query.useQuery("get", "/api/cache/stats");
  const changed = () => void client.invalidateQueries();
  return (
    <>
      <ViewHead title="Cache">
        {mayChange && stats.data && <CacheActions stats={stats.data} onChanged={changed} />}
      </ViewHead>
      <div className="stack">
        <NotAnswered asked={stats} command="buildnet cache stats" />
        {stats.data && <CacheStats stats={stats.data} measuredAt={stats.dataUpdatedAt} />}
        <Results mayChange={mayChange} onChanged={changed} />
      </div>
    </>
  );
}

function Results({ mayChange, onChanged }: { mayChange: boolean; onChanged: () => void }) {
  const [wanted] = useFilter("label");
  const [label, setLabel] = useTypedFilter("label");
  const [shown, setShown] = useFilterInPlace("result");
  const list = usePages(["cache-actions", wanted], async (cursor) => {
    const asked = { limit: PART, ...(wanted && { label: wanted }), ...(cursor && { cursor }) };
    return (await api.GET("/api/cache/actions", { params: { query: asked } })).data;
  });
  const rows = list.parts?.flatMap((part) => part.actions) ?? [];
  return (
    <section aria-label="Stored results">
      <FilterBar
        shown={list.parts === undefined ? null : rows.length}
        total={list.hasMore ? null : rows.length}
        noun="result"
      >
        <SearchBox label="Package or task" value={label} onChange={setLabel} />
      </FilterBar>
      <NotAnswered asked={list.asked} command="buildnet cache list" />
      {list.parts === undefined ? (
        list.asked.error === null && <Loading what="the stored results" lines={6} />
      ) : rows.length === 0 ? (
        <Empty title={wanted ? "No result's label contains that" : "Nothing is stored yet"}>
          {!wanted && (
            <p className="soft">Each command that a build runs leaves its result here.</p>
          )}
        </Empty>
      ) : (
        <Table
          caption="Stored results, newest first"
          columns={columns(setShown)}
          rows={rows}
          keyOf={(row) => row.action}
        />
      )}
      <MoreButton list={list} />
      {shown !== "" && (
        <ResultDetail
          action={shown}
          mayDelete={mayChange}
          onClose={() => setShown("")}
          onDeleted={onChanged}
        />
      )}
    </section>
  );
}

function columns(show: (action: string) => void): Column<Result>[] {
  return [
    { name: "label", title: "Of", cell: (row) => row.label, sort: (row) => row.label },
    {
      name: "result",
      title: "Result",
      cell: (row) => (
        <button
          type="button"
          className="button plain link mono"
          title={row.action}
          onClick={() => show(row.action)}
        >
          {shortId(row.action)}
        </button>
      ),
    },
    {
      name: "hits",
      title: "Found",
      numeric: true,
      cell: (row) => (row.hits === 0 ? "never" : `${count(row.hits)} ×`),
      sort: (row) => row.hits,
    },
    {
      name: "size",
      title: "Size",
      numeric: true,
      cell: (row) => bytes(row.bytes),
      sort: (row) => row.bytes,
    },
    {
      name: "took",
      title: "Command took",
      numeric: true,
      cell: (row) => duration(row.duration_ms),
      sort: (row) => row.duration_ms,
    },
    {
      name: "isolation",
      title: "Isolation",
      cell: (row) => <Badge>{row.isolation}</Badge>,
      sort: (row) => row.isolation,
    },
    {
      name: "made",
      title: "Made",
      cell: (row) => <Age at={row.created_at * 1000} />,
      sort: (row) => -row.created_at,
    },
    {
      name: "used",
      title: "Last used",
      cell: (row) => <Age at={row.used_at * 1000} />,
      sort: (row) => -row.used_at,
    },
  ];
}

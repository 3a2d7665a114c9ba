import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { StatusBadge } from "@/components/badge";
import { ConfirmByName } from "@/components/dialog";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { dateTime } from "@/format/format";
import { quoted } from "@/format/shell";
import { NewKeyDialog } from "@/views/access/new-key";
import { RevokeDialog } from "@/views/access/revoke-dialog";
import { SecretDialog } from "@/views/access/secret";

type KnownKey = Schema["KnownKey"];

const STATUSES = [
  ["", "any"],
  ["valid", "valid"],
  ["expired", "expired"],
  ["revoked", "revoked"],
] as const;

/** The keys of programs: made, rotated, revoked. */
export function Keys() {
  const [status, setStatus] = useFilter("status");
  const [text, setText] = useFilterInPlace("q");
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<KnownKey | null>(null);
  const [rotating, setRotating] = useState<KnownKey | null>(null);
  const [made, setMade] = useState<Schema["NewKey"] | null>(null);
  const mayChange = useMay("manage-access");
  const client = useQueryClient();
  const found = query.useQuery("get", "/api/keys");
  const problem = <NotAnswered asked={found} command="buildnet key list" />;
  if (found.data === undefined) return found.error ? problem : <Loading what="the keys" />;
  const all = found.data.keys;
  const rows = all.filter(
    (key) =>
      (status === "" || key.status === status) &&
      `${key.name} ${key.id} ${key.made_by}`.toLowerCase().includes(text.toLowerCase()),
  );
  const changed = () => client.invalidateQueries();
  const acts = mayChange ? { revoke: setRevoking, rotate: setRotating } : null;
  return (
    <section aria-label="Keys">
      {problem}
      <FilterBar shown={rows.length} total={all.length} noun="key">
        <SearchBox label="Name or id" value={text} onChange={setText} />
        <Choice label="Status" value={status} options={STATUSES} onChange={setStatus} />
        {mayChange && (
          <button type="button" className="button primary" onClick={() => setMaking(true)}>
            New key…
          </button>
        )}
      </FilterBar>
      {rows.length === 0 ? (
        <Empty title={all.length === 0 ? "There are no keys yet" : "No key is like that"}>
          {all.length === 0 && <p className="soft">A key lets a program in: a CI job, an agent.</p>}
        </Empty>
      ) : (
        <Table cards caption="Keys" columns={columns(acts)} rows={rows} keyOf={(row) => row.id} />
      )}
      {making && (
        <NewKeyDialog
          onClose={() => setMaking(false)}
          onMade={(key) => {
            setMaking(false);
            setMade(key);
            void changed();
          }}
        />
      )}
      {made && <SecretDialog made={made} onClose={() => setMade(null)} />}
      {revoking && (
        <RevokeDialog of={revoking} onRevoked={changed} onClose={() => setRevoking(null)} />
      )}
      {rotating && (
        <ConfirmByName
          title="Give a key a new secret"
          name={rotating.name}
          verb="Rotate"
          command={`buildnet key rotate ${quoted(rotating.name)}`}
          act={async () => {
            const path = { name: rotating.id };
            const { data } = await api.POST("/api/keys/{name}/rotate", {
              params: { path },
              body: {},
            });
            setMade(data ?? null);
            await changed();
          }}
          onClose={() => setRotating(null)}
        >
          A new key with the same rights takes its place; the old one ends.
        </ConfirmByName>
      )}
    </section>
  );
}

function columns(
  acts: { revoke: (key: KnownKey) => void; rotate: (key: KnownKey) => void } | null,
): Column<KnownKey>[] {
  return [
    {
      name: "name",
      title: "Name",
      sort: (row) => row.name,
      cell: (row) => <span title={row.id}>{row.name}</span>,
    },
    {
      name: "status",
      title: "Status",
      sort: (row) => row.status,
      cell: (row) => (
        <>
          <StatusBadge status={row.status} />
          {row.status === "valid" && row.problem && <div className="small">{row.problem}</div>}
          {row.reason && <div className="soft small">{row.reason}</div>}
        </>
      ),
    },
    { name: "rights", title: "Rights", sort: (row) => row.rights, cell: (row) => row.rights },
    {
      name: "scope",
      title: "For",
      cell: (row) => (row.scope.length === 0 ? "all that its rights allow" : row.scope.join(", ")),
    },
    { name: "by", title: "Made by", sort: (row) => row.made_by, cell: (row) => row.made_by },
    {
      name: "used",
      title: "Used here",
      sort: (row) => row.used_here_at,
      cell: (row) =>
        row.used_here_at === null ? (
          <span className="soft">not lately</span>
        ) : (
          <Age at={row.used_here_at} />
        ),
    },
    {
      name: "ends",
      title: "Ends",
      sort: (row) => row.expires_at,
      cell: (row) => dateTime(row.expires_at),
    },
    {
      name: "acts",
      title: "what can be done",
      isUntitled: true,
      cell: (row) =>
        acts !== null &&
        row.status === "valid" && (
          <span className="row whole">
            <button type="button" className="button" onClick={() => acts.rotate(row)}>
              Rotate…<span className="unseen"> the key {row.name}</span>
            </button>
            <button type="button" className="button danger" onClick={() => acts.revoke(row)}>
              Revoke…<span className="unseen"> the key {row.name}</span>
            </button>
          </span>
        ),
    },
  ];
}

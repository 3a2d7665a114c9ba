import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Badge } from "@/components/badge";
import { ConfirmByName } from "@/components/dialog";
import { FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilterInPlace } from "@/components/url-state";
import { LinkDialog } from "@/views/access/link";
import { NewAccountDialog } from "@/views/access/new-account";
import { type Holder, RightsDialog } from "@/views/access/rights-dialog";

type Rights = Schema["Rights"];

/** What the owner of each node and each account may do. */
export function People() {
  const [text, setText] = useFilterInPlace("q");
  const [shown, setShown] = useState<{ what: "rights" | "remove" | "link"; of: Holder } | null>(
    null,
  );
  const [adding, setAdding] = useState(false);
  const mayChange = useMay("manage-access");
  const client = useQueryClient();
  const members = query.useQuery("get", "/api/node/members");
  const accounts = query.useQuery("get", "/api/accounts");
  const failed = accounts.error ? accounts : members;
  const problem = <NotAnswered asked={failed} command="buildnet rights list" />;
  if (!members.data || !accounts.data) {
    return failed.error ? problem : <Loading what="who may do what" />;
  }
  const all: Holder[] = [
    ...members.data.members.map((one) => ({
      kind: "node" as const,
      id: one.id,
      name: one.name,
      rights: one.rights as Rights,
      words: one.this_node ? "this node" : one.status,
    })),
    ...accounts.data.accounts.map((one) => ({
      kind: "account" as const,
      id: one.id,
      name: one.id,
      rights: one.rights ?? null,
      words: one.problem ?? one.description ?? "",
    })),
  ];
  const rows = all.filter((one) =>
    `${one.name} ${one.words}`.toLowerCase().includes(text.toLowerCase()),
  );
  const changed = () => client.invalidateQueries();
  const close = () => setShown(null);
  return (
    <section aria-label="People and rights">
      {problem}
      <FilterBar
        shown={rows.length}
        total={all.length}
        noun="node or account"
        many="nodes and accounts"
      >
        <SearchBox label="Name" value={text} onChange={setText} />
        {mayChange && (
          <button type="button" className="button primary" onClick={() => setAdding(true)}>
            New account…
          </button>
        )}
      </FilterBar>
      <Table
        caption="Who may do what"
        cards
        columns={columns(mayChange ? (what, of) => setShown({ what, of }) : null)}
        rows={rows}
        keyOf={(row) => `${row.kind} ${row.id}`}
      />
      {adding && <NewAccountDialog onClose={() => setAdding(false)} onMade={changed} />}
      {shown?.what === "rights" && (
        <RightsDialog holder={shown.of} onClose={close} onChanged={changed} />
      )}
      {shown?.what === "link" && <LinkDialog account={shown.of.id} onClose={close} />}
      {shown?.what === "remove" && (
        <ConfirmByName
          title="Remove an account"
          name={shown.of.id}
          verb="Remove"
          command={`buildnet account remove ${shown.of.id}`}
          act={async () => {
            await api.DELETE("/api/accounts/{name}", { params: { path: { name: shown.of.id } } });
            await changed();
          }}
          onClose={close}
        >
          Its sessions end on all nodes within a second. What it built stays in the record.
        </ConfirmByName>
      )}
    </section>
  );
}

function columns(
  show: ((what: "rights" | "remove" | "link", of: Holder) => void) | null,
): Column<Holder>[] {
  return [
    {
      name: "name",
      title: "Who",
      sort: (row) => row.name,
      cell: (row) => <span title={row.id}>{row.name}</span>,
    },
    {
      name: "kind",
      title: "Kind",
      sort: (row) => row.kind,
      cell: (row) => <Badge>{row.kind === "node" ? "owner of a node" : "account"}</Badge>,
    },
    {
      name: "rights",
      title: "Rights",
      sort: (row) => row.rights,
      cell: (row) => row.rights ?? "unreadable",
    },
    {
      name: "words",
      title: "what is known of them",
      isUntitled: true,
      cell: (row) => row.words !== "" && <span className="soft">{row.words}</span>,
    },
    {
      name: "acts",
      title: "what can be done",
      isUntitled: true,
      cell: (row) =>
        show !== null && (
          <span className="row whole">
            <button type="button" className="button" onClick={() => show("rights", row)}>
              Change rights…<span className="unseen"> of {row.name}</span>
            </button>
            {row.kind === "account" && (
              <>
                <button type="button" className="button" onClick={() => show("link", row)}>
                  Login link…<span className="unseen"> for {row.name}</span>
                </button>
                <button type="button" className="button danger" onClick={() => show("remove", row)}>
                  Remove…<span className="unseen"> {row.name}</span>
                </button>
              </>
            )}
          </span>
        ),
    },
  ];
}

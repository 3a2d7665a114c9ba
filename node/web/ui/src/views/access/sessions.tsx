import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, query, type Schema } from "@/api/client";
import { useMay, useSession } from "@/api/session";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { ConfirmByName } from "@/components/dialog";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { Who } from "@/components/who";
import { dateTime, plural } from "@/format/format";
import { whoText } from "@/format/who";
import { useAsOf } from "@/live/use-live";
import { useRefetchOn } from "@/live/use-refetch";
import { comesFrom } from "@/views/access/comes-from";

type Presence = Schema["Presence"];

const KEY = ["get", "/api/sessions"] as const;
const LOOKS_AGAIN_MS = 30_000; // for who is told of no change
const STALE_MS = 60_000; // the node says each 25 s that it is there
const WAYS = [
  ["", "any"],
  ["cli", "command line"],
  ["web", "browser"],
  ["api", "key"],
] as const;

/** Who uses the nodes now, what they do, and showing them out. */
export function Sessions() {
  const [way, setWay] = useFilter("way");
  const [text, setText] = useFilterInPlace("q");
  const [kicked, setKicked] = useState<Presence | null>(null);
  const mayEnd = useMay("manage-access");
  const session = useSession().data;
  const client = useQueryClient();
  const found = query.useQuery(
    "get",
    "/api/sessions",
    {},
    mayEnd ? {} : { refetchInterval: LOOKS_AGAIN_MS },
  );
  // Who may not see others hears of nobody, and is told of the own builds.
  useRefetchOn(mayEnd ? "sessions" : "builds", KEY, ({ data }) => mayEnd || "status" in data);
  const heard = useAsOf(found);
  const asOf = mayEnd ? heard : found.dataUpdatedAt;
  const problem = <NotAnswered asked={found} command="buildnet session list" />;
  if (found.data === undefined) return found.error ? problem : <Loading what="who is there" />;
  const all = found.data.sessions;
  const rows = all.filter(
    (one) =>
      (way === "" || one.way === way) &&
      `${one.actor} ${one.node ?? ""} ${one.address} ${one.agent}`
        .toLowerCase()
        .includes(text.toLowerCase()),
  );
  return (
    <section aria-label="Sessions">
      {problem}
      <FilterBar shown={rows.length} total={all.length} noun="session">
        <SearchBox label="Name, node or address" value={text} onChange={setText} />
        <Choice label="Comes by" value={way} options={WAYS} onChange={setWay} />
        <span className="small">
          as of <Age at={asOf} staleAfterMs={STALE_MS} />
        </span>
      </FilterBar>
      {found.data.silent.map((one) => (
        <div key={one.node} className="notice warn">
          {one.node} did not tell who uses it: {one.why}
        </div>
      ))}
      {rows.length === 0 ? (
        <Empty title="Nobody of that kind is there" />
      ) : (
        <Table
          caption="Who uses the nodes"
          cards
          columns={columns(session?.id ?? null, mayEnd ? setKicked : null)}
          rows={rows}
          keyOf={(row) => `${row.node_id ?? ""} ${row.id}`}
        />
      )}
      {kicked && (
        <ConfirmByName
          title={`End the session of ${whoText(kicked.actor)}`}
          name={kicked.actor}
          isOwn={kicked.actor === session?.actor}
          verb="End it"
          command={`buildnet session kick ${kicked.id}`}
          act={async () => {
            await api.DELETE("/api/sessions/{session}", {
              params: { path: { session: kicked.id } },
            });
            await client.invalidateQueries();
          }}
          onClose={() => setKicked(null)}
        >
          <Who actor={kicked.actor} /> ({comesFrom(kicked)}, since {dateTime(kicked.since)}) is
          logged out at once and its connections are cut off.{" "}
          {kicked.builds.length > 0 &&
            `${plural(kicked.builds.length, "build")} that it asked for may end. `}
          It may come back with a new login, or with its key: revoke that to keep it out.
        </ConfirmByName>
      )}
    </section>
  );
}

function columns(own: string | null, kick: ((one: Presence) => void) | null): Column<Presence>[] {
  return [
    {
      name: "who",
      title: "Who",
      sort: (row) => row.actor,
      cell: (row) => (
        <div>
          <span className="row">
            <Who actor={row.actor} /> {row.id === own && <Badge tone="busy">you</Badge>}
          </span>
          <div className="soft small" title={row.agent}>
            {comesFrom(row)}
          </div>
        </div>
      ),
    },
    {
      name: "rights",
      title: "Rights",
      sort: (row) => row.rights,
      cell: (row) => (row.is_owner ? "owner" : (row.rights ?? "none")),
    },
    {
      name: "way",
      title: "Comes by",
      sort: (row) => row.way,
      cell: (row) => WAYS.find(([key]) => key === row.way)?.[1] ?? row.way,
    },
    { name: "node", title: "Node", sort: (row) => row.node, cell: (row) => row.node ?? "this one" },
    { name: "doing", title: "Does", cell: (row) => <Doing presence={row} /> },
    {
      name: "since",
      title: "Since",
      sort: (row) => row.since,
      cell: (row) => <Age at={row.since} />,
    },
    {
      name: "last",
      title: "Last heard",
      sort: (row) => row.last,
      cell: (row) => (row.connections.length > 0 ? "connected" : <Age at={row.last} />),
    },
    {
      name: "end",
      title: "what can be done",
      isUntitled: true,
      cell: (row) =>
        kick !== null &&
        row.id !== own && (
          <button type="button" className="button danger" onClick={() => kick(row)}>
            End…
            <span className="unseen">
              {" "}
              the session of {row.actor} {comesFrom(row)}, since {dateTime(row.since)}
            </span>
          </button>
        ),
    },
  ];
}

function Doing({ presence }: { presence: Presence }) {
  if (presence.builds.length === 0) {
    return (
      <span className="soft">{presence.connections.length > 0 ? "watches" : "nothing now"}</span>
    );
  }
  return (
    <>
      {presence.builds.map((build) => (
        <div key={build.build_id}>
          <Link href={`/ui/builds/${build.build_id}`}>builds {build.workspace}</Link>
          {build.waits_for && <span className="soft">, waits for {build.waits_for}</span>}
        </div>
      ))}
    </>
  );
}

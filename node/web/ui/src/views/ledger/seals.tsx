import type { Schema } from "@/api/client";
import { query } from "@/api/client";
import { Age } from "@/components/age";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilter } from "@/components/url-state";
import { count } from "@/format/format";
import { useRefetchOnPool } from "@/live/use-refetch";
import { useNodeNames } from "@/views/ledger/names";

type Seal = Schema["LedgerSeal"];
const PAGE = 20;

/** The seals, newest first; which ones stands in the address. */
export function Seals() {
  const [from, setFrom] = useFilter("seal");
  const names = useNodeNames();
  const first = Number.parseInt(from, 10);
  const seals = query.useQuery("get", "/api/ledger/seals", {
    params: { query: { limit: PAGE, ...(first > 0 && { from: first }) } },
  });
  useRefetchOnPool(["get", "/api/ledger/seals"], "ledger");
  const problem = <NotAnswered asked={seals} command="buildnet ledger seals" />;
  if (seals.data === undefined)
    return seals.error ? problem : <Loading what="the seals" lines={5} />;
  const { seals: shown, height } = seals.data;
  const lowest = shown[0]?.height ?? 1;
  const highest = shown.at(-1)?.height ?? 0;
  return (
    <section className="stack tight" aria-labelledby="ledger-seals">
      {problem}
      <div className="row between">
        <h2 id="ledger-seals">Seals</h2>
        <span className="row">
          <span className="soft small">
            {shown.length > 0 ? `${lowest} to ${highest} of ${count(height)}` : "none yet"}
          </span>
          <button
            type="button"
            className="button"
            disabled={lowest <= 1}
            onClick={() => setFrom(String(Math.max(1, lowest - PAGE)))}
          >
            Older
          </button>
          <button
            type="button"
            className="button"
            disabled={highest >= height}
            onClick={() => setFrom(highest + PAGE >= height ? "" : String(highest + 1))}
          >
            Newer
          </button>
        </span>
      </div>
      <Table
        caption="Seals"
        columns={columns(names)}
        rows={[...shown].reverse()}
        keyOf={(seal) => seal.hash}
        parameter="seals"
      />
    </section>
  );
}

function columns(names: ReadonlyMap<string, string>): Column<Seal>[] {
  const named = (ids: string[]) => ids.map((id) => names.get(id) ?? id).join(", ");
  return [
    { name: "height", cell: (seal) => seal.height, sort: (seal) => seal.height, numeric: true },
    { name: "time", title: "sealed", cell: (seal) => <Age at={seal.time} /> },
    { name: "entries", cell: (seal) => count(seal.entries), numeric: true },
    { name: "chains", cell: (seal) => count(seal.chains), numeric: true },
    { name: "term", cell: (seal) => seal.term, numeric: true },
    {
      name: "signed",
      title: "signed by",
      cell: (seal) => (
        <>
          {named(seal.signed_by)}{" "}
          <span className="soft small">
            ({seal.signed_by.length} of {seal.voters.length})
          </span>
        </>
      ),
    },
    {
      name: "hash",
      cell: (seal) => (
        <code title={seal.hash} className="small">
          {seal.hash.slice(0, 16)}
        </code>
      ),
    },
  ];
}

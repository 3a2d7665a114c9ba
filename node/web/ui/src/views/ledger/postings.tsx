import { Badge } from "@/components/badge";
import { bytes, count } from "@/format/format";
import { bookings, withNames } from "@/views/ledger/entries";
import type { Entry } from "@/views/ledger/use-entries";

/** What an entry books: each amount leaves one account and comes to another. */
export function Postings({
  postings,
  names,
}: {
  postings: Entry["postings"];
  names: ReadonlyMap<string, string>;
}) {
  const { rows, balances } = bookings(postings);
  return (
    <section className="stack tight" aria-labelledby="entry-postings">
      <div className="row between">
        <h2 id="entry-postings">Postings</h2>
        <Badge tone={balances ? "good" : "bad"}>
          {balances ? "debits and credits are the same" : "debits and credits differ"}
        </Badge>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard */}
      <section className="table-frame" aria-label="What it books" tabIndex={0}>
        <table className="table">
          <caption className="unseen">Postings</caption>
          <thead>
            <tr>
              <th scope="col">account</th>
              <th scope="col" className="number">
                debit
              </th>
              <th scope="col" className="number">
                credit
              </th>
              <th scope="col">state</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={`${row.account} ${row.debit} ${row.credit} ${row.state}`}>
                <td>
                  <code>{withNames(row.account, names)}</code>
                </td>
                <td className="number">{amountText(row.debit, row.unit)}</td>
                <td className="number">{amountText(row.credit, row.unit)}</td>
                <td>{row.state}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

function amountText(amount: number | null, unit: string): string {
  if (amount === null) return "";
  return unit === "bytes" ? bytes(amount) : `${count(amount)} ${unit}`;
}

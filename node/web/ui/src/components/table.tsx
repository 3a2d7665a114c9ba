import { ChevronDown, ChevronUp } from "lucide-react";
import { memo, type ReactNode } from "react";
import { useFilter } from "@/components/url-state";
import { byName } from "@/format/format";

export interface Column<Row> {
  name: string;
  /** Words of the head; default: the name. */
  title?: string;
  /** The head is for screen readers alone. */
  isUntitled?: boolean;
  cell: (row: Row) => ReactNode;
  /** What rows are sorted by; without it the column can't be sorted by. */
  sort?: (row: Row) => string | number | null | undefined;
  numeric?: boolean;
}

/**
 * A table whose order stands in the address (`sort=name`, `sort=-age`). `caption` is for screen
 * readers. Rows are shown as they come until somebody sorts.
 */
export function Table<Row>({
  caption,
  columns,
  rows,
  keyOf,
  parameter = "sort",
  step,
  cards = false,
}: {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  /** The parameter in the address, where a page has more tables than one. */
  parameter?: string;
  /** So many rows at first, and more each time somebody asks (`part=2`); none: all at once. */
  step?: number;
  /** On a phone each row is a card, so that what can be done stands below what it is. */
  cards?: boolean;
}) {
  const [part, setPart] = useFilter("part", "1");
  const [order, setOrder] = useFilter(parameter);
  const down = order.startsWith("-");
  const name = down ? order.slice(1) : order;
  const sorted = inOrder(rows, columns, order);
  const most = step === undefined ? sorted.length : (Number(part) || 1) * step;
  const left = Math.max(0, sorted.length - most);
  const table = (
    <div className="table-frame">
      <table className={cards ? "table titled cards" : "table titled"}>
        <caption className="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Head
                key={column.name}
                column={column}
                order={column.name === name ? (down ? "descending" : "ascending") : "none"}
                onSort={() => setOrder(column.name === name && !down ? `-${name}` : column.name)}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, most).map((row) => (
            <Line key={keyOf(row)} row={row} columns={columns} />
          ))}
        </tbody>
      </table>
    </div>
  );
  if (step === undefined || left === 0) return table;
  return (
    <>
      {table}
      <button
        type="button"
        className="button"
        onClick={() => setPart(String((Number(part) || 1) + 1))}
      >
        Show {Math.min(step, left)} more of {sorted.length}
      </button>
    </>
  );
}

interface LineOf<Row> {
  row: Row;
  columns: readonly Column<Row>[];
}

/** Where the columns are always the same ones, a change of one row draws that one alone. */
const Line = memo(function Line<Row>({ row, columns }: LineOf<Row>) {
  return (
    <tr>
      {columns.map((column) => (
        <td
          key={column.name}
          className={column.numeric ? "number" : undefined}
          data-head={column.isUntitled ? "" : (column.title ?? column.name)}
        >
          {column.cell(row)}
        </td>
      ))}
    </tr>
  );
}) as <Row>(line: LineOf<Row>) => ReactNode;

function Head<Row>({
  column,
  order,
  onSort,
}: {
  column: Column<Row>;
  order: "ascending" | "descending" | "none";
  onSort: () => void;
}) {
  const words = column.title ?? column.name;
  const className = column.numeric ? "number" : undefined;
  if (column.sort === undefined) {
    return (
      <th scope="col" className={className}>
        {column.isUntitled ? <span className="unseen">{words}</span> : words}
      </th>
    );
  }
  return (
    <th scope="col" className={className} aria-sort={order}>
      <button type="button" onClick={onSort}>
        {words}
        {order === "ascending" && <ChevronUp aria-hidden size={14} />}
        {order === "descending" && <ChevronDown aria-hidden size={14} />}
      </button>
    </th>
  );
}

/** Rows in an order as it stands in the address; of a column that can't be sorted by, as they come. */
export function inOrder<Row>(
  rows: readonly Row[],
  columns: readonly Pick<Column<Row>, "name" | "sort">[],
  order: string,
): readonly Row[] {
  const down = order.startsWith("-");
  const name = down ? order.slice(1) : order;
  const by = columns.find((column) => column.name === name)?.sort;
  if (by === undefined) return rows;
  const way = down ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [by(one), by(other)];
    // What is unknown is last, whichever way it goes.
    if (a == null || b == null) return (a == null ? 1 : 0) - (b == null ? 1 : 0);
    return way * compare(a, b);
  });
}

/** Order text as people do, figures by size. */
function compare(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return byName(String(a), String(b));
}

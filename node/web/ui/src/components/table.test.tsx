import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it } from "vitest";
import { type Column, inOrder, Table } from "@/components/table";

interface Row {
  name: string;
  took: number;
}

const columns: Column<Row>[] = [
  { name: "name", cell: (row) => row.name },
  { name: "took", cell: (row) => row.took, sort: (row) => row.took },
];
const rows = Array.from({ length: 5 }, (_, number) => ({ name: `task${number}`, took: number }));

function names(): (string | null)[] {
  return screen
    .getAllByRole("row")
    .slice(1)
    .map((row) => row.firstChild?.textContent ?? null);
}

beforeEach(() => {
  history.replaceState(null, "", "/");
  render(
    <Table caption="Tasks" columns={columns} rows={rows} step={2} keyOf={(row) => row.name} />,
  );
});

it("shows more rows each time somebody asks, until all are there", async () => {
  expect(names()).toEqual(["task0", "task1"]);
  await userEvent.click(screen.getByRole("button", { name: "Show 2 more of 5" }));
  expect(names()).toHaveLength(4);
  await userEvent.click(screen.getByRole("button", { name: "Show 1 more of 5" }));
  expect(names()).toHaveLength(5);
  expect(screen.queryByRole("button", { name: /Show/ })).toBeNull();
});

it("sorts all rows before it shows the first of them", async () => {
  await userEvent.click(screen.getByRole("button", { name: "took" }));
  await userEvent.click(screen.getByRole("button", { name: "took" }));
  expect(names()).toEqual(["task4", "task3"]);
});

it("has what is unknown last, whichever way it is sorted", () => {
  const some = [{ took: null }, { took: 1 }, { took: 2 }];
  const by = [{ name: "took", sort: (row: { took: number | null }) => row.took }];
  const sorted = (order: string) => inOrder(some, by, order).map((row) => row.took);
  expect(sorted("took")).toEqual([1, 2, null]);
  expect(sorted("-took")).toEqual([2, 1, null]);
});

it("says to screen readers what a column without a title has", () => {
  const untitled = [
    { name: "acts", title: "what can be done", isUntitled: true, cell: () => "End" },
  ];
  render(<Table cards caption="Acts" columns={untitled} rows={rows} keyOf={(row) => row.name} />);
  expect(screen.getByRole("columnheader", { name: "what can be done" })).toBeDefined();
});

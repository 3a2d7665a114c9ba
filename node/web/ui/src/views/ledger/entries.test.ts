import { describe, expect, it } from "vitest";
import type { Schema } from "@/api/client";
import { actorName, bookings, byDay, entityPath, merged, withNames } from "@/views/ledger/entries";

type Entry = Schema["LedgerEntry"];

function entry(id: string, told: Partial<Entry> = {}): Entry {
  return { id, sealed: null, time: "2026-11-22T10:00:00Z", postings: [], ...told } as Entry;
}

function part(entries: Entry[], next: string | null = "more"): Schema["LedgerEntries"] {
  return { entries, next, looked_to: null, pruned: null };
}

describe("merged", () => {
  it("puts what is new above, and takes what changed", () => {
    const first = part([entry("b"), entry("a")]);
    const newest = part([entry("c"), entry("b", { sealed: 7 })]);
    expect(merged(first, newest)?.map(({ id, sealed }) => [id, sealed])).toEqual([
      ["c", null],
      ["b", 7],
      ["a", null],
    ]);
  });

  it("keeps the pages below", () => {
    const first = part([entry("b")]);
    const all = [...first.entries, entry("a")];
    expect(merged(first, part([entry("b")]), all)?.map(({ id }) => id)).toEqual(["b", "a"]);
  });

  it("says so where something may be missing between", () => {
    expect(merged(part([entry("a")]), part([entry("z")]))).toBeNull();
    expect(merged(part([]), part([entry("a")], null))).toHaveLength(1);
  });
});

describe("bookings", () => {
  const posting = (side: string, amount: number, unit = "cores", state = "") => ({
    account: `node:1/${side}`,
    side,
    unit,
    amount,
    state,
  });

  it("has debits and credits of each unit", () => {
    const { rows, balances } = bookings([posting("debit", 2), posting("credit", 2)]);
    expect(rows.map(({ debit, credit }) => [debit, credit])).toEqual([
      [2, null],
      [null, 2],
    ]);
    expect(balances).toBe(true);
  });

  it("sees that sides are not the same", () => {
    const other = [posting("debit", 2), posting("credit", 2, "bytes")];
    expect(bookings(other).balances).toBe(false);
  });

  it("tells states in words", () => {
    const states = [posting("debit", 0, "", "running"), posting("credit", 0, "", "failed")];
    expect(bookings(states).rows.map(({ state }) => state)).toEqual(["was running", "is failed"]);
    expect(bookings([posting("debit", 0, "", "")]).rows[0]?.state).toBe("was nothing");
  });
});

it("calls nodes by their names", () => {
  const names = new Map([["0b6a1943674ea813", "berta"]]);
  expect(withNames("0b6a1943674ea813 gave node:0b6a1943674ea813/cores", names)).toBe(
    "berta gave node:berta/cores",
  );
  expect(withNames("95c06771e494 0b6a1943674ea8130", names)).toBe("95c06771e494 0b6a1943674ea8130");
  expect(actorName({ id: "0b6a1943674ea813", name: "", kind: "node" }, names)).toBe("berta");
});

it("has entries of a day together", () => {
  const days = byDay([
    entry("c", { time: "2026-11-22T12:00:00Z" }),
    entry("b", { time: "2026-11-22T11:59:00Z" }),
    entry("a", { time: "2026-11-19T12:00:00Z" }),
  ]);
  expect(days.map((day) => day.entries.map(({ id }) => id))).toEqual([["c", "b"], ["a"]]);
});

it("knows where what an entry is about is shown", () => {
  expect(entityPath("build:60df")).toBe("/ui/builds/60df");
  expect(entityPath("node:0b6a")).toBe("/ui/nodes/0b6a");
  expect([entityPath("key:1"), entityPath("node:"), entityPath("")]).toEqual([null, null, null]);
});

import { expect, it } from "vitest";
import { commandOptions, queryText, readFilter } from "@/views/ledger/filter";

function read(query: string) {
  return readFilter(new URLSearchParams(query));
}

it("reads what the address says, and nothing else", () => {
  expect(read("tab=seals&cursor=x&type=&actor=++")).toEqual({});
  expect(read("type=build.*&type=key.created&actor=ann&text=two+words&sealed=no")).toEqual({
    type: ["build.*", "key.created"],
    actor: "ann",
    text: "two words",
    sealed: false,
  });
});

it("takes times of a form as local ones, and leaves others", () => {
  expect(read("from=2h").from).toBe("2h");
  expect(read("to=2026-11-22T01:00:00Z").to).toBe("2026-11-22T01:00:00Z");
  expect(read("from=2026-11-22T01:00").from).toBe(new Date("2026-11-22T01:00").toISOString());
});

it("says the same on the command line", () => {
  expect(commandOptions(read("type=build.*&text=it's&sealed=yes&from=2h"))).toBe(
    " --type 'build.*' --text 'it'\\''s' --from 2h --sealed",
  );
  expect(commandOptions({})).toBe("");
});

it("says the same to the API", () => {
  expect(queryText(read("type=a.*&type=b.c&sealed=no"))).toBe("type=a.*&type=b.c&sealed=false");
});

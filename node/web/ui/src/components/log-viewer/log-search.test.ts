import { describe, expect, it } from "vitest";
import { LogSearch, matchesIn } from "@/components/log-viewer/log-search";
import { LogText, ROW_CHARACTERS } from "@/components/log-viewer/log-text";

const always = () => true;

function logOf(content: string): LogText {
  const text = new LogText();
  text.append(content);
  return text;
}

describe("LogSearch", () => {
  it("counts what it finds, large or small, and tells where", () => {
    const search = new LogSearch(logOf("an error\nfine\nERROR: error\n"), "error");
    expect(search.look(always)).toBe(true);
    expect(search.total).toBe(3);
    expect([0, 1, 2, 3].map((index) => search.match(index))).toEqual([
      { row: 0, nth: 0 },
      { row: 2, nth: 0 },
      { row: 2, nth: 1 },
      null,
    ]);
    expect([0, 1, 2, 3].map((row) => search.from(row))).toEqual([0, 1, 1, 0]);
  });

  it("finds text as it is shown, across colours and past what was written over", () => {
    const search = new LogSearch(
      logOf("\u001b[1mer\u001b[31mror\u001b[0m\nerror\rfine!\n"),
      "error",
    );
    search.look(always);
    expect(search.total).toBe(1);
  });

  it("takes every character as it is", () => {
    const search = new LogSearch(logOf("a.c abc [x] $1 -\\/\n"), "a.c");
    search.look(always);
    expect(search.total).toBe(1);
    for (const needle of ["[x]", "$1", "-\\/", "(", "*", "é", "😀"]) {
      const one = new LogSearch(logOf(`${needle}\n`), needle);
      one.look(always);
      expect([needle, one.total]).toEqual([needle, 1]);
    }
  });

  it("stops when it is told to, and goes on", () => {
    const search = new LogSearch(logOf("match\n".repeat(10_000)), "match");
    let slices = 0;
    const once = () => {
      slices += 1;
      return slices % 2 === 1;
    };
    expect(search.look(once)).toBe(false);
    expect(search.total).toBeLessThan(10_000);
    while (!search.look(once));
    expect(search.total).toBe(10_000);
  });

  it("looks at what came since, and again at a line that was not over", () => {
    const text = logOf("one match\nno mat");
    const search = new LogSearch(text, "match");
    search.look(always);
    expect(search.total).toBe(1);
    text.append("ch, a match\nmatch\n");
    expect(search.isDone).toBe(false);
    search.look(always);
    expect(search.total).toBe(4);
    expect(search.match(3)).toEqual({ row: 2, nth: 0 });
  });

  it("begins anew where the oldest was forgotten", () => {
    const text = new LogText({ rows: 100, characters: 1 << 20 });
    const search = new LogSearch(text, "match");
    for (let line = 0; line < 250; line += 1) {
      text.append(`match ${line}\n`);
      search.look(always);
    }
    expect(search.total).toBe(text.rows);
  });
});

describe("a line of several rows", () => {
  const at = (search: LogSearch) =>
    Array.from({ length: search.total }, (_, index) => search.match(index));

  it("is searched across their borders, wherever those are", () => {
    for (let ahead = ROW_CHARACTERS - 6; ahead <= ROW_CHARACTERS + 1; ahead += 1) {
      const search = new LogSearch(
        logOf(`${"x".repeat(ahead)}needle${"y".repeat(50)}\n`),
        "needle",
      );
      search.look(always);
      expect([ahead, search.total]).toEqual([ahead, 1]);
      expect(search.match(0)).toEqual({ row: ahead < ROW_CHARACTERS ? 0 : 1, nth: 0 });
    }
  });

  it("is marked on both sides of a border, as one match", () => {
    const search = new LogSearch(
      logOf(`${"x".repeat(ROW_CHARACTERS - 2)}needle needle\n`),
      "needle",
    );
    search.look(always);
    expect(at(search)).toEqual([
      { row: 0, nth: 0 },
      { row: 1, nth: 0 },
    ]);
    expect(search.marksIn(0)).toEqual([
      { from: ROW_CHARACTERS - 2, to: ROW_CHARACTERS, row: 0, nth: 0 },
    ]);
    expect(search.marksIn(1)).toEqual([
      { from: 0, to: 4, row: 0, nth: 0 },
      { from: 5, to: 11, row: 1, nth: 0 },
    ]);
  });

  it("counts what overlaps a border once", () => {
    const search = new LogSearch(logOf(`${"a".repeat(ROW_CHARACTERS * 2 + 1)}\n`), "aaa");
    search.look(always);
    expect(search.total).toBe(Math.floor((ROW_CHARACTERS * 2 + 1) / 3));
  });

  it("does not go on in the next line, nor behind a note", () => {
    const text = logOf(`${"x".repeat(ROW_CHARACTERS - 3)}nee\ndle\nnee`);
    text.note("missing");
    text.append("dle\n");
    const search = new LogSearch(text, "needle");
    search.look(always);
    expect(search.total).toBe(0);
  });

  it("finds what is longer than a row", () => {
    const long = "needle".repeat(ROW_CHARACTERS / 2);
    const search = new LogSearch(logOf(`ahead ${long}needle\n`), long);
    search.look(always);
    expect(at(search)).toEqual([{ row: 0, nth: 0 }]);
    expect(search.marksIn(1)).toMatchObject([{ from: 0, to: ROW_CHARACTERS }]);
  });

  it("is looked at again where the row below was not over", () => {
    const text = logOf(`${"x".repeat(ROW_CHARACTERS - 3)}need`);
    const search = new LogSearch(text, "needle");
    search.look(always);
    expect(search.total).toBe(0);
    text.append("le and needle\n");
    search.look(always);
    expect(at(search)).toEqual([
      { row: 0, nth: 0 },
      { row: 1, nth: 0 },
    ]);
    expect(search.marksIn(1).map(({ from }) => from)).toEqual([0, 8]);
  });
});

it("tells where matches stand in a row", () => {
  const search = new LogSearch(new LogText(), "ab");
  expect(matchesIn("xAbab", search.pattern)).toEqual([
    [1, 3],
    [3, 5],
  ]);
});

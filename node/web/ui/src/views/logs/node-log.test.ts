import { expect, it } from "vitest";
import { plainOf } from "@/components/log-viewer/log-line";
import { type Level, type LogLine, lineText, NodeLog } from "@/views/logs/node-log";

function line(number: number, level: Level = "info", told: Partial<LogLine> = {}): LogLine {
  return {
    number,
    at: 1_795_287_390.007,
    level,
    source: "mesh",
    message: `no. ${number}`,
    exception: null,
    ...told,
  };
}

function shown(log: NodeLog): string[] {
  return Array.from({ length: log.text.rows }, (_, row) => plainOf(log.text.row(row)).slice(-5));
}

it("has what came before and what came meanwhile, each once and in order", () => {
  const log = new NodeLog("debug");
  log.take(line(3));
  log.take(line(4));
  expect(shown(log)).toEqual([]);
  log.begin([line(3), line(2), line(1)]);
  log.take(line(5));
  expect(shown(log)).toEqual(["no. 1", "no. 2", "no. 3", "no. 4", "no. 5"]);
});

it("leaves out what is less important", () => {
  const log = new NodeLog("warning");
  log.begin([line(1, "error")]);
  for (const [number, level] of [
    [2, "info"],
    [3, "warning"],
    [4, "critical"],
  ] as const) {
    log.take(line(number, level));
  }
  expect(shown(log)).toEqual(["no. 1", "no. 3", "no. 4"]);
});

it("says when, how important, who and what, with the stack below", () => {
  const text = lineText(line(1, "error", { exception: "Traceback\n  line 1" }));
  const rows = text.split("\n").map(plainOf);
  expect(rows[0]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.007 error {4}mesh: no\. 1$/);
  expect(rows.slice(1)).toEqual(["Traceback", "  line 1", ""]);
});

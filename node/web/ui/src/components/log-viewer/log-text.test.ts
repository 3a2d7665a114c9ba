import { describe, expect, it } from "vitest";
import { LogText, ROW_CHARACTERS } from "@/components/log-viewer/log-text";

function rows(text: LogText): string[] {
  return Array.from({ length: text.rows }, (_, row) => text.row(row));
}

function of(...parts: string[]): LogText {
  const text = new LogText();
  for (const part of parts) text.append(part);
  return text;
}

describe("LogText", () => {
  it("has the same lines however its text came", () => {
    const whole = "one\ntwo\n\nfour\r\nfive";
    for (let cut = 0; cut <= whole.length; cut += 1) {
      const text = of(whole.slice(0, cut), whole.slice(cut));
      expect(rows(text)).toEqual(["one", "two", "", "four\r", "five"]);
      expect(text.lines).toBe(5);
    }
    expect(rows(of(...whole))).toEqual(["one", "two", "", "four\r", "five"]);
  });

  it("ends with the last newline, and is empty without text", () => {
    expect(of("one\n").rows).toBe(1);
    expect(new LogText().lines).toBe(0);
  });

  it("numbers what comes behind a gap as it is told, also when the oldest is forgotten", () => {
    const text = new LogText({ rows: 8, characters: 1 << 20 });
    text.append("a\nb\n");
    text.goOnAt(10);
    text.append("j\nk\n");
    expect([0, 1, 2, 3].map((row) => text.lineOf(row))).toEqual([1, 2, 10, 11]);
    text.goOnAt(5);
    expect(text.nextLine).toBe(12);
    text.append("12\n13\n14\n15\n16\n");
    expect(text.row(text.rowOf(14))).toBe("14");
    expect(text.droppedRows).toBeGreaterThan(0);
    expect(text.firstLine).toBe(text.lineOf(0));
    expect(text.lines).toBe(16);
  });

  it("goes on with a long line in rows without a number", () => {
    const long = "x".repeat(ROW_CHARACTERS * 2 + 5);
    const text = of(`first\n${long}\nlast`);
    expect(rows(text).map((row) => row.length)).toEqual([5, ROW_CHARACTERS, ROW_CHARACTERS, 5, 4]);
    expect([0, 1, 2, 3, 4].map((row) => text.lineOf(row))).toEqual([1, 2, 2, 2, 3]);
    expect([0, 1, 2, 3, 4].map((row) => text.isNumbered(row))).toEqual([
      true,
      true,
      false,
      false,
      true,
    ]);
    expect([1, 2, 3, 4].map((line) => text.rowOf(line))).toEqual([0, 1, 4, 4]);
  });

  it("cuts a line that never ends once, and counts it as one", () => {
    const text = new LogText();
    for (let part = 0; part < 300; part += 1) text.append("y".repeat(1_000));
    text.append("\nafter\n");
    expect(text.lines).toBe(2);
    expect(text.row(text.rows - 1)).toBe("after");
    const all = rows(text).slice(0, -1);
    expect(all.join("")).toBe("y".repeat(300_000));
    expect(Math.max(...all.map((row) => row.length))).toBe(ROW_CHARACTERS);
  });

  it("cuts neither a character nor an escape sequence", () => {
    const color = "\u001b[38;5;196m";
    for (let ahead = ROW_CHARACTERS - 14; ahead <= ROW_CHARACTERS; ahead += 1) {
      const cut = rows(of(`${"x".repeat(ahead)}${color}${"z".repeat(99)}`));
      expect(cut.some((row) => row.includes(color))).toBe(true);
      const smile = rows(of(`${"x".repeat(ahead)}😀${"z".repeat(99)}`));
      expect(smile.some((row) => row.includes("😀"))).toBe(true);
    }
  });

  it("shows the end of a long progress bar only", () => {
    const bar = Array.from({ length: 5_000 }, (_, done) => `${done} of 5000`).join("\r");
    const text = of(`${bar}\ndone\n`);
    expect(text.rows).toBe(2);
    expect(text.row(0).endsWith("\r4999 of 5000")).toBe(true);
  });

  it("puts notes between what came", () => {
    const text = of("a\nb");
    text.note("12 bytes were left out");
    text.append("c\n");
    expect(rows(text)).toEqual(["a", "b", "", "c"]);
    expect(text.noteAt(2)).toBe("12 bytes were left out");
    expect([0, 1, 2, 3].map((row) => text.isNumbered(row))).toEqual([true, true, false, true]);
    expect(text.lineOf(3)).toBe(3);
  });

  it("forgets the oldest, and counts on", () => {
    const text = new LogText({ rows: 100, characters: 1 << 20 });
    for (let line = 1; line <= 1_000; line += 1) text.append(`line ${line}\n`);
    expect(text.rows).toBeLessThanOrEqual(100);
    expect(text.lines).toBe(1_000);
    for (let row = 0; row < text.rows; row += 1) {
      expect(text.row(row)).toBe(`line ${text.lineOf(row)}`);
    }
    expect(text.row(0)).toBe(`line ${text.firstLine}`);
    expect(text.parts().join("").startsWith(`line ${text.firstLine}\n`)).toBe(true);
    expect(text.droppedRows).toBe(1_000 - text.rows);
  });

  it("forgets by characters too", () => {
    const text = new LogText({ rows: 1_000_000, characters: 10_000 });
    for (let line = 1; line <= 1_000; line += 1) text.append(`${"-".repeat(99)}\n`);
    expect(text.characters).toBeLessThanOrEqual(10_000);
    expect(text.lines).toBe(1_000);
  });
});

import { describe, expect, it } from "vitest";
import { Pen } from "@/components/log-viewer/ink";
import { parse, penAt, plainOf } from "@/components/log-viewer/log-line";
import { LogText } from "@/components/log-viewer/log-text";
import { markName } from "@/format/seen";

const E = "\u001b";

function looks(raw: string, pen = Pen.PLAIN): [string, string][] {
  return parse(raw, pen).spans.map(({ text, ink }) => [text, ink.className]);
}

describe("parse", () => {
  it("reads colours and styles, until they are reset", () => {
    expect(looks(`a${E}[1;31mb${E}[0mc`)).toEqual([
      ["a", ""],
      ["b", "bold ink-red"],
      ["c", ""],
    ]);
    expect(looks(`${E}[92;44mx${E}[39my${E}[mz`)).toEqual([
      ["x", "ink-bright-green paper-blue"],
      ["y", "paper-blue"],
      ["z", ""],
    ]);
  });

  it("knows the colours of the palette and all others", () => {
    const [one, two, three] = parse(
      `${E}[38;5;196mr${E}[38;2;1;2;3mt${E}[38:2::9:8:7mc`,
      Pen.PLAIN,
    ).spans.map(({ ink }) => ink.color);
    expect([one, two, three]).toEqual(["255, 0, 0", "1, 2, 3", "9, 8, 7"]);
    expect(parse(`${E}[48;5;244mg`, Pen.PLAIN).spans[0]?.ink.background).toBe("128, 128, 128");
  });

  it("goes on in the state of the line before", () => {
    const first = parse(`${E}[33mwarning`, Pen.PLAIN);
    expect(looks("goes on", first.pen)).toEqual([["goes on", "ink-yellow"]]);
  });

  it("shows the end of progress bars, as a terminal does", () => {
    expect(plainOf("10%\r50%\r100%")).toBe("100%");
    expect(plainOf("downloading\rdone")).toBe("doneloading");
    expect(plainOf(`downloading\r${E}[Kdone`)).toBe("done");
    expect(plainOf(`downloading${E}[2K\rdone`)).toBe("done");
    expect(plainOf(`downloading${E}[1G${E}[0Kdone`)).toBe("done");
    expect(plainOf("a line of DOS\r")).toBe("a line of DOS");
    expect(plainOf("ab\b\bxy")).toBe("xy");
    expect(looks(`${E}[31m50%${E}[0m\r${E}[32m60%`)).toEqual([["60%", "ink-green"]]);
  });

  it("leaves out titles, links, cursors and what was cut", () => {
    expect(plainOf(`${E}]0;title\u0007text`)).toBe("text");
    expect(plainOf(`${E}]8;;http://evil${E}\\link${E}]8;;${E}\\`)).toBe("link");
    expect(plainOf(`${E}[?25l${E}[2J${E}[3Aup${E}(B${E}=`)).toBe("up");
    expect(plainOf(`text${E}[31`)).toBe("text");
    expect(plainOf(`text${E}`)).toBe("text");
  });

  it("marks what can't be seen and what turns text around", () => {
    const spans = parse("a\u0000\u202eb\u200bc", Pen.PLAIN).spans;
    expect(spans.map(({ text, isMark }) => [text, isMark])).toEqual([
      ["a", false],
      ["\u0000\u202e", true],
      ["b", false],
      ["\u200b", true],
      ["c", false],
    ]);
    expect(["\u0000", "\u007f", "\u202e", "\u{e0041}"].map(markName)).toEqual([
      "NUL",
      "U+007F",
      "U+202E",
      "U+E0041",
    ]);
  });

  it("leaves the family and other letters as they are", () => {
    expect(parse("👩‍👩‍👧 مرحبا ʻokina\tx", Pen.PLAIN).spans).toHaveLength(1);
  });

  it("moves no cursor further than a screen is wide", () => {
    expect(plainOf(`${E}[999999999Cx`).length).toBeLessThan(5_000);
  });
});

it("has the same plain text whether or not colours are read", () => {
  for (const raw of [
    "a",
    `${E}[1mb${E}[0m c`,
    `x${E}]0;t\u0007y`,
    "1\r2",
    `ab${E}[1Dc`,
    "nul\u0000",
  ]) {
    expect(plainOf(raw)).toBe(parse(raw, Pen.PLAIN).text);
  }
});

describe("penAt", () => {
  it("finds the colour in which a row begins", () => {
    const text = new LogText();
    text.append(`plain\n${E}[31mred\nstill red\n${E}[0mplain\n`);
    const found = [0, 1, 2, 3].map((row) => penAt(text, row).ink.className);
    expect(found).toEqual(["", "", "ink-red", "ink-red"]);
  });

  it("knows one pen of each kind, whatever came ahead", () => {
    const text = new LogText();
    text.append(`${`${E}[1m${E}[31m${E}[39m${E}[31m`.repeat(900)}\nend\n`);
    expect(penAt(text, text.rows - 1)).toBe(Pen.PLAIN.after("1;31"));
  });
});

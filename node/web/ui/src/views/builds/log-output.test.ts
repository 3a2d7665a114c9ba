import { describe, expect, it } from "vitest";
import { plainOf } from "@/components/log-viewer/log-line";
import type { LogText } from "@/components/log-viewer/log-text";
import { LiveOutput } from "@/views/builds/log-output";

function printed(output: LiveOutput, name: string, text: string, task = "build", line?: number) {
  const data = { build_id: "b", name, task, text, ...(line && { line }) };
  output.take({ cursor: "", channel: "logs", type: "build_output", at: 1, data });
}

function left(output: LiveOutput) {
  const data = { build_id: "b", bytes: 2048 };
  output.take({ cursor: "", channel: "logs", type: "output_left_out", at: 1, data });
}

function shown(text: LogText | undefined): string[] {
  if (text === undefined) return [];
  return Array.from({ length: text.rows }, (_, row) => text.noteAt(row) ?? plainOf(text.row(row)));
}

describe("LiveOutput", () => {
  it("keeps each task's output, and all together with names", () => {
    const output = new LiveOutput();
    printed(output, "api", "one\ntwo\n");
    printed(output, "web", "three\n", "test 2/3");
    expect(shown(output.tasks().get("api#build"))).toEqual(["one", "two"]);
    expect(shown(output.all)).toEqual([
      "api#build │ one",
      "api#build │ two",
      "web#test 2/3 │ three",
    ]);
  });

  it("goes on with a line, and breaks it where another task prints", () => {
    const output = new LiveOutput();
    printed(output, "api", "half ");
    printed(output, "api", "a line\nand");
    printed(output, "web", "x\n");
    printed(output, "api", " more\n");
    expect(shown(output.all)).toEqual([
      "api#build │ half a line",
      "api#build │ and",
      "web#build │ x",
      "api#build │  more",
    ]);
    expect(shown(output.tasks().get("api#build"))).toEqual(["half a line", "and more"]);
  });

  it("keeps the name in front of progress bars", () => {
    const output = new LiveOutput();
    printed(output, "api", "10%\r20%");
    printed(output, "api", "\r30%\r\n");
    expect(shown(output.all)).toEqual(["api#build │ 30%"]);
  });

  it("numbers lines as the task's log does, whatever did not come", () => {
    const output = new LiveOutput();
    printed(output, "api", "one\nhalf ", "build", 120);
    printed(output, "api", "line\n", "build", 121);
    printed(output, "web", "other\n", "build", 7);
    const text = output.tasks().get("api#build") as LogText;
    expect([text.firstLine, text.lineOf(0), text.lineOf(1), text.lines]).toEqual([
      120, 120, 121, 121,
    ]);
    left(output);
    printed(output, "api", "later\n", "build", 400);
    expect(shown(text).at(-1)).toBe("later");
    expect([text.lines, text.rowOf(400), text.rowOf(121)]).toEqual([400, 3, 1]);
    expect(output.placeOf(1)).toEqual({ key: "api#build", line: 120 });
    expect(output.placeOf(2)).toEqual({ key: "api#build", line: 121 });
    expect(output.placeOf(3)).toEqual({ key: "web#build", line: 7 });
    expect(output.placeOf(output.all.lines)).toEqual({ key: "api#build", line: 400 });
    expect(output.placeOf(99)).toBeNull();
  });

  it("goes on with the same line behind a gap in it", () => {
    const output = new LiveOutput();
    printed(output, "api", "one\ntwo begins", "build", 1);
    left(output);
    printed(output, "api", " two ends\nthree\n", "build", 2);
    const text = output.tasks().get("api#build") as LogText;
    expect([...Array(text.rows).keys()].map((row) => text.lineOf(row))).toEqual([1, 2, 2, 2, 3]);
    expect(text.nextLine).toBe(4);
  });

  it("begins anew where a task runs again", () => {
    const output = new LiveOutput();
    printed(output, "api", "first try\n", "build", 1);
    printed(output, "api", "second try\n", "build", 1);
    expect(shown(output.tasks().get("api#build"))).toEqual(["second try"]);
    expect(shown(output.all)).toEqual(["api#build │ first try", "api#build │ second try"]);
    expect(output.placeOf(2)).toEqual({ key: "api#build", line: 1 });
  });

  it("shows what was printed before, and once alone where the connection broke", () => {
    const output = new LiveOutput();
    const soFar = (text: string, line: number) =>
      output.take({
        cursor: "",
        channel: "logs",
        type: "output_so_far",
        at: 1,
        data: { build_id: "b", name: "api", task: "build", text, line },
      });
    soFar("five\nsix\nsev", 5);
    printed(output, "api", "en\neig", "build", 7);
    const text = () => output.tasks().get("api#build");
    expect(shown(text())).toEqual(["five", "six", "seven", "eig"]);
    expect(text()?.firstLine).toBe(5);
    soFar("six\nseven\neight\n", 6);
    expect(shown(text())).toEqual(["five", "six", "seven", "eight"]);
    expect(shown(output.all).at(-1)).toBe("api#build │ eight");
    soFar("twenty\n", 20);
    expect(text()?.lines).toBe(20);
    soFar("ran again\n", 1);
    expect(shown(text())).toEqual(["ran again"]);
  });

  it("says in its place what is missing", () => {
    const output = new LiveOutput();
    printed(output, "api", "one");
    output.take({
      cursor: "",
      channel: "logs",
      type: "output_left_out",
      at: 1,
      data: { build_id: "b", bytes: 2048 },
    });
    printed(output, "api", "two\n");
    expect(shown(output.tasks().get("api#build"))).toEqual([
      "one",
      expect.stringContaining("2.0 KiB of output left out here"),
      "two",
    ]);
    expect(shown(output.all)[2]).toBe("api#build │ two");
  });

  it("tells when another task prints, and no sooner", () => {
    const output = new LiveOutput();
    let told = 0;
    output.subscribe(() => {
      told += 1;
    });
    printed(output, "api", "one\n");
    const before = output.tasks();
    printed(output, "api", "two\n");
    expect([told, output.tasks() === before]).toEqual([1, true]);
    printed(output, "web", "three\n");
    expect([told, output.tasks() === before]).toEqual([2, false]);
  });
});

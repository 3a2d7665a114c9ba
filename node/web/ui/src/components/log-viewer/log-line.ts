import { type Ink, Pen } from "@/components/log-viewer/ink";
import type { LogText } from "@/components/log-viewer/log-text";
import { MARK, markName } from "@/format/seen";

/** Letters that look alike; `isMark`: characters that draw nothing, or move what stands around. */
export interface Span {
  text: string;
  ink: Ink;
  isMark: boolean;
}

/** A row as a terminal would show it. */
export interface Line {
  text: string;
  spans: Span[];
  /** How colours go on after it. */
  pen: Pen;
}

/** Colours that were set further ahead of a row are not known. */
const AHEAD_CHARACTERS = 1 << 14;
const WIDEST = 4_000;

// Escape sequences: colours and cursor (CSI), titles and links (OSC and its like), anything else.
const ESCAPE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  /\u001b(?:\[([0-?]*)[ -/]*([@-~]|$)|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\|$)?|[ -/]*[0-~]?)/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for are those
const SIMPLE = /^[^\u0000-\u0008\u000a-\u001f]*$/;
// What moves to and fro in a line, or erases some of it.
// biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for are those
const MOVES = /[\r\b]|\u001b\[[0-?]*[CDGK]/;
/** The colours in which a row begins. */
export function penAt(text: LogText, row: number): Pen {
  let pen = Pen.PLAIN;
  for (const match of text.ahead(row, AHEAD_CHARACTERS).matchAll(ESCAPE)) {
    if (match[2] === "m") pen = pen.after(match[1] ?? "");
  }
  return pen;
}

/** What a row shows, as plain text: without escape sequences, and with what was written over gone. */
export function plainOf(raw: string): string {
  if (SIMPLE.test(raw)) return raw;
  if (MOVES.test(raw)) return parse(raw, Pen.PLAIN).text;
  return raw.replace(ESCAPE, "");
}

/** Read a row that begins in these colours. */
export function parse(raw: string, begin: Pen): Line {
  if (SIMPLE.test(raw)) return { text: raw, spans: marked(raw, begin.ink), pen: begin };
  const screen = new ScreenLine();
  let from = 0;
  let pen = begin;
  for (const match of raw.matchAll(ESCAPE)) {
    screen.write(raw.slice(from, match.index), pen.ink);
    from = match.index + match[0].length;
    if (match[2] === "m") pen = pen.after(match[1] ?? "");
    else if (match[2]) screen.move(match[2], match[1] ?? "");
  }
  screen.write(raw.slice(from), pen.ink);
  return { ...screen.read(), pen };
}

/** Names of characters, each with how often it comes in a row: "NUL×512 U+202E". */
export function marksText(text: string): string {
  const runs: { name: string; times: number }[] = [];
  for (const character of text) {
    const name = markName(character);
    const last = runs.at(-1);
    if (last?.name === name) last.times += 1;
    else runs.push({ name, times: 1 });
  }
  return runs.map(({ name, times }) => (times === 1 ? name : `${name}×${times}`)).join(" ");
}

/** One line of a terminal: what comes after "\r" is written over what was there. */
class ScreenLine {
  private readonly letters: string[] = [];
  private readonly inks: Ink[] = [];
  private at = 0;

  write(text: string, ink: Ink): void {
    for (const letter of text) {
      if (letter === "\r") this.at = 0;
      else if (letter === "\b") this.at = Math.max(0, this.at - 1);
      else {
        this.fill(this.at);
        this.letters[this.at] = letter;
        this.inks[this.at] = ink;
        this.at += 1;
      }
    }
  }

  move(command: string, parameters: string): void {
    const given = Number.parseInt(parameters, 10);
    const steps = Number.isNaN(given) ? 1 : given;
    if (command === "C") this.at = Math.min(WIDEST, this.at + steps);
    else if (command === "D") this.at = Math.max(0, this.at - steps);
    else if (command === "G") this.at = Math.min(WIDEST, Math.max(0, steps - 1));
    else if (command === "K") this.erase(Number.isNaN(given) ? 0 : given);
  }

  read(): { text: string; spans: Span[] } {
    const spans: Span[] = [];
    let from = 0;
    for (let at = 1; at <= this.letters.length; at += 1) {
      if (at < this.letters.length && this.inks[at] === this.inks[from]) continue;
      spans.push(
        ...marked(this.letters.slice(from, at).join(""), this.inks[from] ?? Pen.PLAIN.ink),
      );
      from = at;
    }
    return { text: this.letters.join(""), spans };
  }

  private erase(what: number): void {
    if (what === 1) {
      this.letters.fill(" ", 0, this.at + 1);
      this.inks.fill(Pen.PLAIN.ink, 0, this.at + 1);
      return;
    }
    const rest = what === 0 ? Math.min(this.letters.length, this.at) : 0;
    this.letters.length = rest;
    this.inks.length = rest;
  }

  private fill(to: number): void {
    while (this.letters.length < to) {
      this.letters.push(" ");
      this.inks.push(Pen.PLAIN.ink);
    }
  }
}

function marked(text: string, ink: Ink): Span[] {
  const spans: Span[] = [];
  let from = 0;
  for (const match of text.matchAll(MARK)) {
    if (match.index > from) spans.push({ text: text.slice(from, match.index), ink, isMark: false });
    spans.push({ text: match[0], ink, isMark: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) spans.push({ text: text.slice(from), ink, isMark: false });
  return spans;
}

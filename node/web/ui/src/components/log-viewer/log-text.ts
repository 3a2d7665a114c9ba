/** A longer line goes on in further rows: no line of a megabyte is ever laid out at once. */
export const ROW_CHARACTERS = 2_000;

const BLOCK_CHARACTERS = 1 << 20;
/** From here on what has come of a line without an end stays as it is, so that it is cut once. */
const OPEN_CHARACTERS = 1 << 16;
/** More is kept of no log; browsers have no room for many more rows (33 million pixels). */
const LIMITS = { rows: 1_000_000, characters: 1 << 26 };
const ESCAPE = "\u001b";
const ESCAPE_MAX_CHARACTERS = 32;

/**
 * The text of a log as it grows, kept once and as it came, and where its rows are in it. A row is a
 * line, a piece of a long line, or a note (what is missing here). Of more than `limits` the oldest is
 * forgotten. Rows are counted from 0, from the oldest that is there; lines from 1, from the first
 * that ever came.
 */
export class LogText {
  /** Goes up with each change. */
  version = 0;
  /** How many rows were forgotten. */
  droppedRows = 0;
  private droppedLines = 0;
  private blocks: string[] = [];
  private blockStarts: number[] = [];
  private end = 0;
  private starts: number[] = [];
  private ends: number[] = [];
  /** Rows without a number of their own: what goes on from the row above, and notes. */
  private unnumbered: number[] = [];
  private readonly notes = new Map<number, string>();
  /** From which rows on lines have other numbers than those that came, by how much in all. */
  private jumpRows: number[] = [];
  private jumps: number[] = [];
  /** Where the line begins that has no end yet, and whether rows above belong to it. */
  private openFrom = 0;
  private openRow = 0;
  private openGoesOn = false;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly limits: { rows: number; characters: number } = LIMITS) {}

  get rows(): number {
    return this.starts.length;
  }

  /** How many lines came, with those that were forgotten. */
  get lines(): number {
    return this.rows === 0 ? this.droppedLines : this.lineOf(this.rows - 1);
  }

  /** The line in which what is appended next begins. */
  get nextLine(): number {
    return this.openFrom < this.end ? this.lines : this.lineOf(this.rows);
  }

  /** How much of that line came already. */
  get nextColumn(): number {
    if (this.openFrom === this.end) return 0;
    const text = this.slice(this.blockStarts[0] ?? 0, this.end);
    return text.length - text.lastIndexOf("\n") - 1;
  }

  /** The first line that is still there. */
  get firstLine(): number {
    return this.droppedLines + 1;
  }

  get characters(): number {
    return this.end - (this.blockStarts[0] ?? this.end);
  }

  /** From this row on, rows may still change. */
  get openRows(): number {
    return this.openRow;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getVersion = (): number => this.version;

  append(text: string): void {
    if (text === "") return;
    const at = this.end;
    this.keep(text);
    this.truncate(this.openRow);
    let from = 0;
    for (;;) {
      const newline = text.indexOf("\n", from);
      if (newline < 0) break;
      this.addLine(this.openFrom, at + newline);
      this.closeLine(at + newline + 1);
      from = newline + 1;
    }
    if (this.openFrom < this.end) this.addOpenLine();
    this.forget();
    this.changed();
  }

  /** Put words of our own in this place, as a row of their own. */
  note(words: string): void {
    this.closeLine(this.end);
    this.unnumbered.push(this.rows);
    this.notes.set(this.rows, words);
    this.push(this.end, this.end);
    this.closeLine(this.end);
    this.changed();
  }

  /** Whether what comes next can be this line; an earlier one is of another log. */
  canGoOnAt(line: number): boolean {
    const more = line - this.nextLine;
    // A note has closed a line that goes on behind it.
    return more >= 0 || (more === -1 && this.notes.has(this.rows - 1));
  }

  /** Let what comes next be this line: what is ahead of it did not come. */
  goOnAt(line: number): void {
    const more = line - this.nextLine;
    if (more === 0 || !this.canGoOnAt(line)) return;
    this.closeLine(this.end);
    if (this.rows === 0) this.droppedLines += line - this.nextLine;
    else {
      this.jumpRows.push(this.rows);
      this.jumps.push((this.jumps.at(-1) ?? 0) + line - this.nextLine);
    }
  }

  /** What a row is of, as it came. */
  row(index: number): string {
    return this.slice(this.starts[index] ?? 0, this.ends[index] ?? 0);
  }

  noteAt(index: number): string | null {
    return this.notes.get(index) ?? null;
  }

  /** What came ahead of a row, this much at most: colours go on from there. */
  ahead(index: number, characters: number): string {
    const start = this.starts[index] ?? 0;
    return this.slice(Math.max(this.blockStarts[0] ?? 0, start - characters), start);
  }

  lineOf(row: number): number {
    const jumped = this.jumps[countUpTo(this.jumpRows, row) - 1] ?? 0;
    return this.droppedLines + row + 1 - countUpTo(this.unnumbered, row) + jumped;
  }

  /** Whether a row has a number: it begins a line. */
  isNumbered(row: number): boolean {
    return this.unnumbered[countUpTo(this.unnumbered, row) - 1] !== row;
  }

  /** The row in which a line begins; of a line that is not there, the nearest one's. */
  rowOf(line: number): number {
    let low = 0;
    let high = this.rows - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.lineOf(middle) < line) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Everything that is kept, in parts, as it came. */
  parts(): string[] {
    return [...this.blocks];
  }

  private keep(text: string): void {
    const last = this.blocks.at(-1);
    if (last !== undefined && last.length + text.length <= BLOCK_CHARACTERS) {
      this.blocks[this.blocks.length - 1] = last + text;
    } else {
      this.blocks.push(text);
      this.blockStarts.push(this.end);
    }
    this.end += text.length;
  }

  private slice(from: number, to: number): string {
    let block = countUpTo(this.blockStarts, from) - 1;
    let found = "";
    for (; block >= 0 && block < this.blocks.length; block += 1) {
      const start = this.blockStarts[block] ?? 0;
      if (start >= to) break;
      found += this.blocks[block]?.slice(Math.max(0, from - start), to - start) ?? "";
    }
    return found;
  }

  private addLine(from: number, to: number): void {
    if (this.openGoesOn) this.unnumbered.push(this.rows);
    if (to - from <= ROW_CHARACTERS) {
      this.push(from, to);
      return;
    }
    const text = this.slice(from, to);
    let start = overwritten(text);
    for (;;) {
      const stop = cut(text, start);
      this.push(from + start, from + stop);
      if (stop >= text.length) break;
      start = stop;
      this.unnumbered.push(this.rows);
    }
  }

  private addOpenLine(): void {
    this.addLine(this.openFrom, this.end);
    if (this.end - this.openFrom < OPEN_CHARACTERS) return;
    this.openRow = this.rows - 1;
    this.openGoesOn = this.openGoesOn || !this.isNumbered(this.openRow);
    this.openFrom = this.starts[this.openRow] ?? this.openFrom;
  }

  private closeLine(next: number): void {
    this.openFrom = next;
    this.openRow = this.rows;
    this.openGoesOn = false;
  }

  private push(from: number, to: number): void {
    this.starts.push(from);
    this.ends.push(to);
  }

  private truncate(rows: number): void {
    this.starts.length = rows;
    this.ends.length = rows;
    while ((this.unnumbered.at(-1) ?? -1) >= rows) this.unnumbered.pop();
  }

  /** Forget whole blocks, and the rows that begin in them; half of what is too much at a time. */
  private forget(): void {
    if (this.rows <= this.limits.rows && this.characters <= this.limits.characters) return;
    const rows = Math.min(
      this.openRow,
      Math.max(
        this.rows - Math.floor(this.limits.rows * 0.75),
        countUpTo(this.starts, this.end - Math.floor(this.limits.characters * 0.75)),
      ),
    );
    if (rows <= 0) return;
    const line = this.lineOf(rows - 1);
    const kept = this.starts[rows] ?? this.end;
    this.starts = this.starts.slice(rows);
    this.ends = this.ends.slice(rows);
    this.unnumbered = this.unnumbered.filter((row) => row >= rows).map((row) => row - rows);
    const notes = [...this.notes].filter(([row]) => row >= rows);
    this.notes.clear();
    for (const [row, words] of notes) this.notes.set(row - rows, words);
    const past = countUpTo(this.jumpRows, rows - 1);
    const before = this.jumps[past - 1] ?? 0;
    this.jumpRows = this.jumpRows.slice(past).map((row) => row - rows);
    this.jumps = this.jumps.slice(past).map((jump) => jump - before);
    this.droppedRows += rows;
    this.droppedLines = line;
    this.openRow -= rows;
    const block = Math.max(0, countUpTo(this.blockStarts, kept) - 1);
    this.blocks = this.blocks.slice(block);
    this.blockStarts = this.blockStarts.slice(block);
    const rest = kept - (this.blockStarts[0] ?? kept);
    this.blocks[0] = this.blocks[0]?.slice(rest) ?? "";
    this.blockStarts[0] = kept;
  }

  private changed(): void {
    this.version += 1;
    for (const listener of this.listeners) listener();
  }
}

/** How much of a long line a terminal would have written over: progress bars go back by "\r". */
function overwritten(text: string): number {
  const end = text.endsWith("\r") ? text.length - 1 : text.length;
  const last = text.lastIndexOf("\r", end - 1);
  if (last < 0) return 0;
  const near = text.indexOf("\r", Math.max(0, end - ROW_CHARACTERS));
  return (near >= 0 && near < last ? near : last) + 1;
}

/** Where the row ends that begins at `start`: not within a character nor an escape sequence. */
function cut(text: string, start: number): number {
  const stop = start + ROW_CHARACTERS;
  if (stop >= text.length) return text.length;
  const near = text.slice(stop - ESCAPE_MAX_CHARACTERS, stop);
  const sequence = near.lastIndexOf(ESCAPE);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  if (sequence >= 0 && !/^\u001b\[[\d;:?]*[@-~]/.test(near.slice(sequence))) {
    return stop - ESCAPE_MAX_CHARACTERS + sequence;
  }
  const code = text.charCodeAt(stop - 1);
  return code >= 0xd800 && code < 0xdc00 ? stop - 1 : stop;
}

/** How many of ascending numbers are not above this one. */
function countUpTo(numbers: readonly number[], limit: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

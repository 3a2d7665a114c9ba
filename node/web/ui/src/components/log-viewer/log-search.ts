import { plainOf } from "@/components/log-viewer/log-line";
import { type LogText, ROW_CHARACTERS } from "@/components/log-viewer/log-text";

const AT_ONCE_ROWS = 500;

/** Where something that was looked for is in a row, from its first character to behind its last. */
export interface Match {
  from: number;
  to: number;
  /** The row in which it begins, and how many begin ahead of it there. */
  row: number;
  nth: number;
}

/**
 * Where a text stands in a log, found piece by piece: a big log takes longer than a picture may. What
 * goes on in the next row of a long line is found, too, and belongs to the row in which it begins.
 */
export class LogSearch {
  readonly pattern: RegExp;
  private readonly length: number;
  /** Rows with matches, ascending; and how many matches there are up to and in each. */
  private rows: number[] = [];
  private sums: number[] = [];
  /** Rows into which a match of the row above goes on: up to where. */
  private readonly carried = new Map<number, number>();
  private looked = 0;
  private dropped = 0;
  /** Rows from here on may have changed since they were looked at. */
  private open = 0;
  private version = -1;

  constructor(
    private readonly text: LogText,
    needle: string,
  ) {
    this.pattern = patternOf(needle);
    this.length = needle.length;
  }

  get total(): number {
    return this.sums.at(-1) ?? 0;
  }

  get isDone(): boolean {
    return this.version === this.text.version && this.looked >= this.text.rows;
  }

  /** Look on for as long as `goOn` says; true: everything was looked through. */
  look(goOn: () => boolean): boolean {
    this.takeNews();
    while (this.looked < this.text.rows && goOn()) {
      const stop = Math.min(this.text.rows, this.looked + AT_ONCE_ROWS);
      for (; this.looked < stop; this.looked += 1) this.lookAt(this.looked);
    }
    return this.isDone;
  }

  /** In which row a match is, and how many of that row are ahead of it. */
  match(index: number): { row: number; nth: number } | null {
    const at = firstAbove(this.sums, index);
    const row = this.rows[at];
    return row === undefined ? null : { row, nth: index - (this.sums[at - 1] ?? 0) };
  }

  /** The first match in this row or below; 0 where there is none. */
  from(row: number): number {
    const at = firstAbove(this.rows, row - 1);
    return at < this.rows.length ? (this.sums[at - 1] ?? 0) : 0;
  }

  /**
   * The match to begin with: the first in this row or below (1), or the one ahead of that (-1), around
   * the ends of the log. null: there is none, or it can't be told before more was looked through.
   */
  begin(step: 1 | -1, row: number): number | null {
    if (this.total === 0) return null;
    const first = this.from(row);
    const isKnown = (this.rows.at(-1) ?? -1) >= row && (step === 1 || first > 0);
    if (!isKnown && !this.isDone) return null;
    return step === 1 ? first : (first - 1 + this.total) % this.total;
  }

  /** What is to be marked in a row, the end of what began in the row above among it. */
  marksIn(row: number): Match[] {
    const characters = plainOf(this.text.row(row)).length;
    const found: Match[] = [];
    const carried = this.carried.get(row) ?? 0;
    if (carried > 0) {
      const nth = Math.max(0, this.begunIn(row - 1) - 1);
      found.push({ from: 0, to: Math.min(carried, characters), row: row - 1, nth });
    }
    for (const [from, to] of this.matchesOf(row)) {
      const nth = found.length - (carried > 0 ? 1 : 0);
      found.push({ from, to: Math.min(to, characters), row, nth });
    }
    return found;
  }

  private begunIn(row: number): number {
    const at = firstAbove(this.rows, row - 1);
    if (this.rows[at] !== row) return 0;
    return (this.sums[at] ?? 0) - (this.sums[at - 1] ?? 0);
  }

  private takeNews(): void {
    if (this.version === this.text.version) return;
    const isSame = this.text.droppedRows === this.dropped;
    this.looked = isSame ? this.unchanged(Math.min(this.looked, this.open)) : 0;
    while ((this.rows.at(-1) ?? -1) >= this.looked) {
      this.rows.pop();
      this.sums.pop();
    }
    for (const row of this.carried.keys()) if (row > this.looked) this.carried.delete(row);
    if (this.looked === 0) this.carried.clear();
    this.version = this.text.version;
    this.dropped = this.text.droppedRows;
    this.open = this.text.openRows;
  }

  /** Up to which row nothing is different: not where what follows in the same line is. */
  private unchanged(row: number): number {
    let first = row;
    for (let left = this.length; left > 0 && this.goesOn(first); left -= ROW_CHARACTERS) first -= 1;
    return first;
  }

  /** Whether a row goes on with the line of the row above. */
  private goesOn(row: number): boolean {
    return row > 0 && !this.text.isNumbered(row) && this.text.noteAt(row) === null;
  }

  private lookAt(row: number): void {
    const count = this.isAlone(row)
      ? (plainOf(this.text.row(row)).match(this.pattern)?.length ?? 0)
      : this.lookAtPart(row);
    if (count === 0) return;
    this.sums.push(this.total + count);
    this.rows.push(row);
  }

  /** Whether a row is a line of its own, as nearly all are. */
  private isAlone(row: number): boolean {
    return !this.carried.has(row) && (row + 1 >= this.text.rows || !this.goesOn(row + 1));
  }

  private lookAtPart(row: number): number {
    const found = this.matchesOf(row);
    const end = found.at(-1)?.[1] ?? this.carried.get(row) ?? 0;
    const beyond = end === 0 ? 0 : end - plainOf(this.text.row(row)).length;
    if (beyond > 0) this.carried.set(row + 1, beyond);
    return found.length;
  }

  /** What begins in a row, as pairs of begin and end; an end may be in the next row. */
  private matchesOf(row: number): [number, number][] {
    const own = plainOf(this.text.row(row));
    let rest = "";
    for (let next = row + 1; rest.length < this.length - 1 && next < this.text.rows; next += 1) {
      if (!this.goesOn(next)) break;
      rest += plainOf(this.text.row(next)).slice(0, this.length - 1 - rest.length);
    }
    const begun = this.carried.get(row) ?? 0;
    if (begun >= own.length && begun > 0) return [];
    return matchesIn(own.slice(begun) + rest, this.pattern)
      .map(([from, to]): [number, number] => [from + begun, to + begun])
      .filter(([from]) => from < own.length);
  }
}

/** What stands where in a text: pairs of begin and end. */
export function matchesIn(text: string, pattern: RegExp): [number, number][] {
  return Array.from(text.matchAll(pattern), (match) => [
    match.index,
    match.index + match[0].length,
  ]);
}

/** As people look for things: large and small letters are the same, nothing else is special. */
function patternOf(needle: string): RegExp {
  return new RegExp(needle.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");
}

/** The first place of ascending numbers at which one is above a limit. */
function firstAbove(numbers: readonly number[], limit: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

import { plainOf } from "@/components/log-viewer/log-line";
import type { LogText } from "@/components/log-viewer/log-text";

const AT_ONCE_ROWS = 500;

/** Where a text stands in a log, found piece by piece: a big log takes longer than a picture may. */
export class LogSearch {
  readonly pattern: RegExp;
  /** Rows with matches, ascending; and how many matches there are up to and in each. */
  private rows: number[] = [];
  private sums: number[] = [];
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

  private takeNews(): void {
    if (this.version === this.text.version) return;
    const isSame = this.text.droppedRows === this.dropped;
    this.looked = isSame ? Math.min(this.looked, this.open) : 0;
    while ((this.rows.at(-1) ?? -1) >= this.looked) {
      this.rows.pop();
      this.sums.pop();
    }
    this.version = this.text.version;
    this.dropped = this.text.droppedRows;
    this.open = this.text.openRows;
  }

  private lookAt(row: number): void {
    const found = plainOf(this.text.row(row)).match(this.pattern)?.length ?? 0;
    if (found === 0) return;
    this.sums.push(this.total + found);
    this.rows.push(row);
  }
}

/** What stands where in a row: pairs of begin and end. */
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

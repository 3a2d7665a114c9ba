import { Pen } from "@/components/log-viewer/ink";
import { type Line, parse, penAt } from "@/components/log-viewer/log-line";
import type { LogText } from "@/components/log-viewer/log-text";

const KEPT = 4_000;

/** The rows of a log as they are drawn: each is read when it is looked at, and kept for a while. */
export class LogLines {
  private readonly kept = new Map<number, Line>();
  private version = 0;
  private dropped = 0;
  private open = 0;

  constructor(private readonly text: LogText) {}

  /** Read a row; cheapest from the top downwards, since its colours go on from the row above. */
  line(row: number): Line {
    this.takeNews();
    let found = this.kept.get(row);
    if (found === undefined) {
      if (this.kept.size >= KEPT) this.kept.clear();
      const pen = row === 0 ? Pen.PLAIN : (this.kept.get(row - 1)?.pen ?? penAt(this.text, row));
      found = parse(this.text.row(row), pen);
      this.kept.set(row, found);
    }
    return found;
  }

  private takeNews(): void {
    if (this.version === this.text.version) return;
    if (this.dropped !== this.text.droppedRows) this.kept.clear();
    for (const row of this.kept.keys()) if (row >= this.open) this.kept.delete(row);
    this.version = this.text.version;
    this.dropped = this.text.droppedRows;
    this.open = this.text.openRows;
  }
}

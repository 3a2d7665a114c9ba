import type { LineRange } from "@/components/log-viewer/line-range";
import { plainOf } from "@/components/log-viewer/log-line";
import type { LogText } from "@/components/log-viewer/log-text";

// biome-ignore lint/suspicious/noControlCharactersInRegex: they have no place in a text
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** Lines as plain text, each ended: without colours, notes and control characters. */
export function linesText(text: LogText, { first, last }: LineRange): string {
  const parts: string[] = [];
  for (let row = text.rowOf(first); row < text.rows && text.lineOf(row) <= last; row += 1) {
    if (text.noteAt(row) !== null) continue;
    if (parts.length > 0 && text.isNumbered(row)) parts.push("\n");
    parts.push(plainOf(text.row(row)).replace(CONTROL, ""));
  }
  return parts.length > 0 ? `${parts.join("")}\n` : "";
}

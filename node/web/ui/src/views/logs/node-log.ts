import type { Schema } from "@/api/client";
import { LogText } from "@/components/log-viewer/log-text";

export type LogLine = Schema["NodeLogLine"];
export type Level = LogLine["level"];

export const LEVELS: readonly Level[] = ["debug", "info", "warning", "error", "critical"];

const ESCAPE = "\u001b";
const COLORS: Record<Level, string> = {
  debug: "2",
  info: "36",
  warning: "33",
  error: "31",
  critical: "1;31",
};

/** What a node logs, as text: lines that come live wait until those are there that came before. */
export class NodeLog {
  readonly text = new LogText();
  private last = 0;
  private waiting: LogLine[] | null = [];

  constructor(private readonly level: Level) {}

  /** Take in what was asked for, the newest first. */
  begin(lines: readonly LogLine[]): void {
    const all = [...lines].reverse();
    this.append([...all, ...(this.waiting ?? [])]);
    this.waiting = null;
  }

  /** Take in a line that was just logged. */
  take(line: LogLine): void {
    if (LEVELS.indexOf(line.level) < LEVELS.indexOf(this.level)) return;
    if (this.waiting === null) this.append([line]);
    else this.waiting.push(line);
  }

  private append(lines: readonly LogLine[]): void {
    let content = "";
    for (const line of lines) {
      if (line.number <= this.last) continue;
      this.last = line.number;
      content += lineText(line);
    }
    this.text.append(content);
  }
}

/** 2026-11-22 09:30:00, in local time. */
const SECOND = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });

/** A line as it is shown: when, how important, who says it, and what. */
export function lineText({ at, level, source, message, exception }: LogLine): string {
  const moment = new Date(at * 1000);
  const time = `${SECOND.format(moment)}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
  const word = `${ESCAPE}[${COLORS[level]}m${level.padEnd(8)}${ESCAPE}[0m`;
  const stack = exception === null ? "" : `\n${ESCAPE}[2m${exception}${ESCAPE}[0m`;
  return `${ESCAPE}[2m${time}${ESCAPE}[0m ${word} ${ESCAPE}[2m${source}:${ESCAPE}[0m ${message}${ESCAPE}[0m${stack}\n`;
}

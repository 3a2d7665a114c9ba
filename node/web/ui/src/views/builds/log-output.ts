import { LogText } from "@/components/log-viewer/log-text";
import { bytes } from "@/format/format";
import { type LiveEvent, OUTPUT_SO_FAR } from "@/live/items";

const ESCAPE = "\u001b";
/** Each task has one of these colours in front of its lines. */
const COLORS = [36, 35, 33, 32, 34, 96, 95, 93, 92, 94];

/** How a task is named in front of people: `api#build`, of a shard `api#test 2/3`. */
export function outputKey(name: string, task: string): string {
  return `${name}#${task}`;
}

interface Piece {
  text: string;
  /** In which line of the task's log it begins. */
  line: number;
}

/** What comes after a place that is known, of what a task printed; all of it behind a gap, or if another run printed it. */
function newIn(whole: Piece, line: number, column: number): Piece {
  let start = 0;
  for (let at = whole.line; at < line; at += 1) {
    start = whole.text.indexOf("\n", start) + 1;
    if (start === 0) return whole;
  }
  if (whole.line > line || whole.text.length < start + column) return whole;
  return { text: whole.text.slice(start + column), line };
}

/** What the tasks of one build print while somebody looks on: of each, and of all together. */
export class LiveOutput {
  readonly all = new LogText();
  private texts: ReadonlyMap<string, LogText> = new Map();
  private readonly listeners = new Set<() => void>();
  /** Of each line of all: the number of its task, and its line there. */
  private readonly placeKeys: number[] = [];
  private readonly placeLines: number[] = [];
  /** Whose line stands open at the end of all. */
  private openOf: string | null = null;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** The tasks that printed, by their key: another map once there is one more. */
  tasks = (): ReadonlyMap<string, LogText> => this.texts;

  take(event: LiveEvent): void {
    const { name, task, text } = event.data;
    if (event.type === "build_output") {
      const line = typeof event.data.line === "number" ? event.data.line : null;
      this.print(outputKey(String(name), String(task)), text, line);
    } else if (event.type === OUTPUT_SO_FAR) {
      const key = outputKey(String(name), String(task));
      const known = this.texts.get(key);
      const whole = { text: String(text), line: Number(event.data.line) };
      const news = known === undefined ? whole : newIn(whole, known.nextLine, known.nextColumn);
      if (known !== undefined && news.line > known.nextLine) {
        known.note("Output is missing here: the connection was lost");
      }
      this.print(key, news.text, news.line);
    } else if (event.type === "output_left_out") {
      const missing = `${bytes(Number(event.data.bytes))} of output left out here: it came too fast`;
      this.note(`${missing}. What a task printed is kept whole, and shown when it is over.`);
    }
  }

  /** Say that nothing was told for a while. Of tasks that still run what they printed follows. */
  broke(): void {
    this.all.note("The connection was lost: what ended meanwhile is whole in the log of its task");
    this.openOf = null;
  }

  /** Say in all texts that something is missing here. */
  private note(words: string): void {
    for (const text of [this.all, ...this.texts.values()]) text.note(words);
    this.openOf = null;
  }

  /** Where a line of all stands in the log of its task, and of which; null: nobody says. */
  placeOf(line: number): { key: string; line: number } | null {
    const nth = this.placeKeys[line - 1];
    const own = this.placeLines[line - 1];
    return nth === undefined || !own ? null : { key: [...this.texts.keys()][nth] ?? "", line: own };
  }

  /** `line`: that of the task's log in which the text begins; null: nobody says. */
  private print(key: string, content: unknown, line: number | null): void {
    if (typeof content !== "string" || content === "") return;
    const text = this.textOf(key, line);
    if (line !== null) text.goOnAt(line);
    const first = text.nextLine;
    text.append(content);
    const anew = this.openOf !== null && this.openOf !== key ? "\n" : "";
    const before = this.prefix(key);
    const goesOn = this.openOf === key ? "" : before;
    const ends = content.endsWith("\n");
    const lines = (ends ? content.slice(0, -1) : content)
      .replace(/\r(?!\n)/g, `\r${before}`)
      .replaceAll("\n", `\n${before}`);
    this.all.append(anew);
    const firstOfAll = this.all.nextLine;
    this.all.append(`${goesOn}${lines}${ends ? "\n" : ""}`);
    this.openOf = ends ? null : key;
    if (line !== null) this.place(key, first, firstOfAll);
  }

  private place(key: string, first: number, firstOfAll: number): void {
    const nth = [...this.texts.keys()].indexOf(key);
    for (let at = firstOfAll; at <= this.all.lines; at += 1) {
      this.placeKeys[at - 1] = nth;
      this.placeLines[at - 1] = first + at - firstOfAll;
    }
  }

  /** A task whose lines begin anew runs again: then its output begins anew, too. */
  private textOf(key: string, line: number | null): LogText {
    const known = this.texts.get(key);
    if (known !== undefined && (line === null || known.canGoOnAt(line))) return known;
    const text = new LogText();
    this.texts = new Map(this.texts).set(key, text);
    for (const listener of this.listeners) listener();
    return text;
  }

  private prefix(key: string): string {
    const nth = [...this.texts.keys()].indexOf(key);
    const color = COLORS[nth % COLORS.length];
    return `${ESCAPE}[0;${color}m${key}${ESCAPE}[0m │ `;
  }
}

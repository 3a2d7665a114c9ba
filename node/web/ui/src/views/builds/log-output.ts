import { LogText } from "@/components/log-viewer/log-text";
import { bytes } from "@/format/format";
import type { LiveEvent } from "@/live/items";

const ESCAPE = "\u001b";
/** Each task has one of these colours in front of its lines. */
const COLORS = [36, 35, 33, 32, 34, 96, 95, 93, 92, 94];

/** How a task is named in front of people: `api#build`, of a shard `api#test 2/3`. */
export function outputKey(name: string, task: string): string {
  return `${name}#${task}`;
}

/** What the tasks of one build print while somebody looks on: of each, and of all together. */
export class LiveOutput {
  readonly all = new LogText();
  private texts: ReadonlyMap<string, LogText> = new Map();
  private readonly listeners = new Set<() => void>();
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
    if (event.type === "build_output") this.print(outputKey(String(name), String(task)), text);
    else if (event.type === "output_left_out") {
      const missing = `${bytes(Number(event.data.bytes))} of output left out here: it came too fast`;
      this.note(`${missing}. What a task printed is kept whole, and shown when it is over.`);
    }
  }

  /** Say in all texts that something is missing here. */
  note(words: string): void {
    for (const text of [this.all, ...this.texts.values()]) text.note(words);
    this.openOf = null;
  }

  private print(key: string, content: unknown): void {
    if (typeof content !== "string" || content === "") return;
    this.textOf(key).append(content);
    const anew = this.openOf !== null && this.openOf !== key ? "\n" : "";
    const before = this.prefix(key);
    const goesOn = this.openOf === key ? "" : before;
    const ends = content.endsWith("\n");
    const lines = (ends ? content.slice(0, -1) : content)
      .replace(/\r(?!\n)/g, `\r${before}`)
      .replaceAll("\n", `\n${before}`);
    this.all.append(`${anew}${goesOn}${lines}${ends ? "\n" : ""}`);
    this.openOf = ends ? null : key;
  }

  private textOf(key: string): LogText {
    const known = this.texts.get(key);
    if (known !== undefined) return known;
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

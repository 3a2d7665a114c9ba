import { MARK, seen } from "@/format/seen";

/** The properties of an element that people read, or have read to them. */
const READ = ["children", "title", "aria-label"] as const;
const HIDES = new RegExp(MARK.source, "u");

/**
 * The properties of an element with each character to be seen of what is shown of them. All of the
 * page goes through here, so that no view shows a name of others as something else than it is.
 */
export function shown(props: unknown): unknown {
  let after = props as Record<string, unknown>;
  for (const name of READ) {
    const before = after[name];
    const now = texts(before);
    if (now !== before) after = { ...after, [name]: now };
  }
  return after;
}

function texts(value: unknown): unknown {
  if (typeof value === "string") return HIDES.test(value) ? lines(value) : value;
  if (!Array.isArray(value)) return value;
  const now = value.map(texts);
  return now.every((each, place) => each === value[place]) ? value : now;
}

/** The end of a line hides nothing: a page draws it as a space, or ends the line. */
function lines(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => seen(line))
    .join("\n");
}

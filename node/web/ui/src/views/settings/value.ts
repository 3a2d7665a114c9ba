/** Settings as people write them: the form of a value in node.yaml that fits on a line. */

/** `true`, `4`, `["a"]`; text as it is, in quotes where it would be read as another value; nothing: "". */
export function written(value: unknown): string {
  if (value === null || value === undefined || value === "") return "";
  return typeof value === "string" && read(value) === value ? value : JSON.stringify(value);
}

/**
 * What somebody wrote, as a value: JSON where it is that, else text. Nothing is null, which takes
 * the setting out of the file. Quotes keep text what it is: "4".
 */
export function read(text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  try {
    return JSON.parse(trimmed) as unknown;
  } catch {
    return trimmed;
  }
}

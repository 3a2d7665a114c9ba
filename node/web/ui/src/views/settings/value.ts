/** Settings as people write them: the form of a value in node.yaml that fits on a line. */

import { Problem } from "@/api/problem";

/** `true`, `4`, `["a"]`; text as it is, in quotes where it would be read as another value; nothing: "". */
export function written(value: unknown): string {
  if (value === null || value === undefined || value === "") return "";
  return typeof value === "string" && parsed(value) === value ? value : JSON.stringify(value);
}

/**
 * What somebody wrote, as a value: JSON where it is that, else text. Nothing is null, which takes
 * the setting out of the file. Quotes keep text what it is: "4". Throws a Problem where a number is
 * too large to be one, such as 1e999: it would be sent as null.
 */
export function read(text: string): unknown {
  const value = parsed(text);
  if (isKept(value)) return value;
  throw new Problem(
    `${text.trim().slice(0, 40)} is no number that can be kept; nothing was changed`,
    "USAGE",
    0,
    null,
    "such as 4 or 2.5; as a text write it in quotes",
  );
}

function parsed(text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  try {
    return JSON.parse(trimmed) as unknown;
  } catch {
    return trimmed;
  }
}

function isKept(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return Object.values(value).every(isKept);
}

/** Characters that draw nothing, or move what stands around. */
export const MARK =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for are those
  /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]+/gu;

const CONTROLS =
  "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US".split(
    " ",
  );

/** A name in place of a character that can't be seen. */
export function markName(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return CONTROLS[code] ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A name that others chose, each character of it to be seen: "shop[U+202E]txt". */
export function seen(name: string): string {
  return name.replace(MARK, (marks) => `[${[...marks].map(markName).join(" ")}]`);
}

import type { LogText } from "@/components/log-viewer/log-text";

/** Save a log as a file: what `href` has of it, else what is here. */
export function saveLog(text: LogText, label: string, href: string | undefined): void {
  const link = document.createElement("a");
  const made = href === undefined ? URL.createObjectURL(new Blob(text.parts())) : null;
  link.href = made ?? href ?? "";
  link.download = `${label.replace(/[^\p{L}\p{N}._-]+/gu, "-")}.log`;
  link.click();
  if (made !== null) setTimeout(() => URL.revokeObjectURL(made));
}

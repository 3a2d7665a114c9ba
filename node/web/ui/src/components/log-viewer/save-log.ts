import type { LogText } from "@/components/log-viewer/log-text";
import { save } from "@/components/save";

/** Save a log as a file: what `href` has of it, else what is here. */
export function saveLog(text: LogText, label: string, href: string | undefined): void {
  const name = `${label.replace(/[^\p{L}\p{N}._-]+/gu, "-")}.log`;
  save(href ?? new Blob(text.parts()), name);
}

import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";

/** A command line to copy into a terminal. `label`: what it does, where that is not said beside it. */
export function Command({ line, label }: { line: string; label?: string }) {
  const command = (
    <div className="command">
      <code>{line}</code>
      <CopyButton text={line} label="Copy the command" />
    </div>
  );
  if (label === undefined) return command;
  return (
    <div>
      <div className="small soft">{label}</div>
      {command}
    </div>
  );
}

/** Copies a text; says for two seconds that it did, or that the browser did not let it. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [said, setSaid] = useState<"copied" | "could not copy" | null>(null);
  useEffect(() => {
    if (said === null) return;
    const timer = setTimeout(() => setSaid(null), 2_000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await copyText(text);
      setSaid("copied");
    } catch {
      setSaid("could not copy");
    }
  };
  return (
    <button
      type="button"
      className="button plain icon"
      aria-label={label}
      title={label}
      onClick={copy}
    >
      {said === "copied" ? <Check aria-hidden size={16} /> : <Copy aria-hidden size={16} />}
      <output className="unseen">{said}</output>
    </button>
  );
}

/** Copy a text. Browsers have a clipboard only for pages with TLS and for loopback; else the old way. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser does not copy");
}

const GONE_MS = 10_000;

/** Save something as a file: what is here, or what an address has. */
export function save(content: Blob | string, name: string): void {
  const link = document.createElement("a");
  const made = typeof content === "string" ? null : URL.createObjectURL(content);
  link.href = made ?? String(content);
  link.download = name;
  link.click();
  // The browser reads it after the click.
  if (made !== null) setTimeout(() => URL.revokeObjectURL(made), GONE_MS);
}

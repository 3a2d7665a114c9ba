/**
 * What somebody is called, and of what that is the name: data has accounts as `account:NAME` and
 * agents as `agent:NAME`, users of a host (`kind` null) by their plain name.
 */
export function whoIs(actor: string): { name: string; kind: "account" | "agent" | null } {
  const [, kind, name] = /^(account|agent):(.+)$/.exec(actor) ?? [];
  return name === undefined
    ? { name: actor, kind: null }
    : { name, kind: kind === "account" ? "account" : "agent" };
}

/** The same as plain text, where nothing but text can stand. */
export function whoText(actor: string): string {
  const { name, kind } = whoIs(actor);
  return kind === null ? name : `${name} (${kind})`;
}

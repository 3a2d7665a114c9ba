import type { Schema } from "@/api/client";

type Known = Pick<Schema["KnownWorkspace"], "name" | "root">;

/** What workspaces are called where one is chosen, by their roots: with these if names are alike. */
export function workspaceChoices(all: readonly Known[]): (readonly [string, string])[] {
  return all.map(({ name, root }) => {
    if (name === null) return [root, root];
    const isOnlyOne = all.filter((other) => other.name === name).length === 1;
    return [root, isOnlyOne ? name : `${name} (${root})`];
  });
}

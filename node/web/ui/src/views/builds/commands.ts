import type { Schema } from "@/api/client";

export type Request = Schema["RequestedBuild"];

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The command line that asks for the same. */
export function buildCommand(
  request: Partial<Pick<Request, "packages" | "task" | "force" | "keep_going" | "dry_run">>,
  root: string | null,
  more = "",
): string {
  const parts = ["buildnet", "build"];
  for (const name of request.packages ?? []) parts.push(quoted(name));
  if (request.task !== undefined && request.task !== "build") {
    parts.push("--task", quoted(request.task));
  }
  if (request.force) parts.push("--force");
  if (request.keep_going) parts.push("--keep-going");
  if (request.dry_run) parts.push("--dry-run");
  if (more !== "") parts.push(more);
  if (root !== null) parts.push("-C", quoted(root));
  return parts.join(" ");
}

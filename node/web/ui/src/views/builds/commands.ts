import type { Schema } from "@/api/client";
import { quoted } from "@/format/shell";

export type Request = Schema["RequestedBuild"];

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

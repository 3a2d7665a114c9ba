import type { Schema } from "@/api/client";
import { quoted } from "@/format/shell";

export type Request = Schema["RequestedBuild"];

/** What a build goes by besides, as far as something was named. */
export type Choice = Partial<
  Pick<Schema["Choice"], "configuration" | "template" | "variables" | "profile">
>;

/** The command line that asks for the same. */
export function buildCommand(
  request: Partial<Pick<Request, "packages" | "task" | "force" | "keep_going" | "dry_run">> & {
    choice?: Choice | null;
  },
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
  parts.push(...optionsOf(request.choice ?? {}));
  if (more !== "") parts.push(more);
  if (root !== null) parts.push("-C", quoted(root));
  return parts.join(" ");
}

/** The options that name the same; a configuration that is kept nowhere has no name. */
function optionsOf({ configuration, template, variables, profile }: Choice): string[] {
  const parts: string[] = [];
  if (template != null) {
    parts.push("--template", quoted(template));
    for (const [name, value] of Object.entries(variables ?? {})) {
      parts.push("--set", quoted(`${name}=${value}`));
    }
  } else if (configuration != null) parts.push("--config", quoted(configuration));
  if (profile != null) parts.push("--profile", quoted(profile));
  return parts;
}

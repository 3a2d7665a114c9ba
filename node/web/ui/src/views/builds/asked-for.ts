import type { Request } from "@/views/builds/commands";

/** What was asked for, in a few words: "all", "api, web", "test of api". */
export function askedFor(request: Pick<Request, "packages" | "task">): string {
  const { packages, task } = request;
  const what =
    packages.length === 0
      ? "all"
      : packages.length > 3
        ? `${packages.slice(0, 3).join(", ")} and ${packages.length - 3} more`
        : packages.join(", ");
  return task === "build" ? what : `${task} of ${what}`;
}

import { plural } from "@/format/format";

/** What was asked for; `packages_left_out`: how many besides, that are not named. */
type Asked = { packages: readonly string[]; packages_left_out?: number; task: string };

/** What was asked for, in a few words: "all", "api, web", "test of api". */
export function askedFor({ packages, packages_left_out: more = 0, task }: Asked): string {
  const shown = packages.length > 3 ? packages.slice(0, 3) : packages;
  const rest = packages.length - shown.length + more;
  const named = shown.join(", ");
  const what =
    rest === 0
      ? named || "all"
      : named === ""
        ? plural(rest, "package")
        : `${named} and ${rest} more`;
  return task === "build" ? what : `${task} of ${what}`;
}

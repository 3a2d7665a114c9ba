/** A package of a build as the entry of its end tells of it. */
export interface LedgerPackage {
  name: string;
  status: string;
  duration_ms: number | null;
  node: string | null;
  error: string | null;
}

interface Entry {
  type: string;
  data: unknown;
}

/** How the packages of a build ended, by the last entry that tells an end, and how many it leaves
 * out. What other nodes wrote may be anything: what makes no sense is left out. */
export function endedIn(entries: readonly Entry[]): {
  packages: readonly LedgerPackage[];
  leftOut: number;
} {
  const ends = ["build.completed", "build.failed", "build.cancelled"];
  const end = entries.filter((entry) => ends.includes(entry.type)).at(-1);
  if (end === undefined || !isRecord(end.data)) return { packages: [], leftOut: 0 };
  const { packages, packages_left_out: leftOut } = end.data;
  return {
    packages: (Array.isArray(packages) ? packages : []).flatMap((one) => {
      if (!isRecord(one) || typeof one.name !== "string") return [];
      return [
        {
          name: one.name,
          status: text(one.status) ?? "unknown",
          duration_ms: typeof one.duration_ms === "number" ? one.duration_ms : null,
          node: text(one.node),
          error: text(one.error),
        },
      ];
    }),
    leftOut: typeof leftOut === "number" ? leftOut : 0,
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

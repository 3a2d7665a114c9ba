import { Link } from "wouter";
import type { Schema } from "@/api/client";
import type { Choice } from "@/views/builds/commands";

/** The configuration and the profile that a build goes by, as they were named. */
export function GoesBy({
  choice,
}: {
  choice: (Choice & Partial<Pick<Schema["Choice"], "version" | "unkept">>) | null;
}) {
  const { configuration, version, template, variables, profile, unkept } = choice ?? {};
  const values = Object.entries(variables ?? {}).map(([name, value]) => `${name}=${value}`);
  return (
    <>
      {unkept != null ? (
        "one that is kept nowhere"
      ) : template != null ? (
        <>
          of the template {template}
          {values.length > 0 && <span className="soft"> ({values.join(", ")})</span>}
        </>
      ) : configuration != null ? (
        <>
          <Link href={`/ui/builder?config=${encodeURIComponent(configuration)}`}>
            {configuration}
          </Link>
          {version != null && <span className="soft">, version {version}</span>}
        </>
      ) : (
        "none"
      )}
      {profile != null && <span className="soft">, profile {profile}</span>}
    </>
  );
}

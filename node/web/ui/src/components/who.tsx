import { whoIs } from "@/format/who";

/** Who did something, of whatever kind: `ben`, and whether that is an account or an agent. */
export function Who({ actor }: { actor: string }) {
  const { name, kind } = whoIs(actor);
  if (kind === null) return name;
  return (
    <span title={actor}>
      {name} <span className="who-kind">{kind}</span>
    </span>
  );
}

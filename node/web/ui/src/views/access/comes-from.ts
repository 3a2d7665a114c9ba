import type { Schema } from "@/api/client";

/** Edge and Opera name Chrome too, and all of them Safari. */
const BROWSERS = [
  ["Edg/", "Edge"],
  ["OPR/", "Opera"],
  ["Firefox/", "Firefox"],
  ["Chrome/", "Chrome"],
  ["Safari/", "Safari"],
] as const;

/** With which program somebody comes, and from where: what tells sessions of one name apart. */
export function comesFrom({
  id,
  agent,
  address,
}: Pick<Schema["Presence"], "id" | "agent" | "address">): string {
  const browser = BROWSERS.find(([mark]) => agent.includes(mark))?.[1];
  const program = browser ?? agent.split(/[\s/]/, 1)[0] ?? "";
  const where = address === "" ? "on the node's host" : `from ${address}`;
  return [program, where, `(${id.slice(0, 6)})`].filter((part) => part !== "").join(" ");
}

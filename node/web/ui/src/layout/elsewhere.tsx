import { useNodes } from "@/live/use-live";
import { useSilence } from "@/live/use-silence";

const MOST = 2;

/** Where the pool can be looked at while this page's node can't be heard. */
export function Elsewhere() {
  const silence = useSilence();
  const others = useNodes().filter(
    ({ this_node, status, address }) =>
      !this_node && status !== "offline" && /^https?:\/\//.test(address ?? ""),
  );
  if (silence === null || others.length === 0) return null;
  return (
    <div className="notice warn" role="status" style={{ marginBottom: "var(--space-4)" }}>
      <p>
        This page's node can't be heard. Other nodes of the pool have a page, too:{" "}
        {others.slice(0, MOST).map(({ id, name, address }, place) => (
          <span key={id}>
            {place > 0 && ", "}
            {name} at <a href={address ?? ""}>{address}</a>
          </span>
        ))}
        . There you log in again.
      </p>
    </div>
  );
}

import { Link, useLocation } from "wouter";
import { useFilter } from "@/components/url-state";

/** Which of a view's parts is shown: the parameter `tab` of the address, or the first one. */
export function useTab<T extends string>(tabs: readonly (readonly [T, string])[]): T {
  const first = tabs[0]?.[0];
  if (first === undefined) throw new Error("a view with tabs has at least one");
  const [wanted] = useFilter("tab", first);
  return tabs.find(([name]) => name === wanted)?.[0] ?? first;
}

/** Links to the parts of a view; each is an address of its own. */
export function Tabs({
  label,
  tabs,
  current,
}: {
  label: string;
  tabs: readonly (readonly [string, string])[];
  current: string;
}) {
  const [path] = useLocation();
  return (
    <nav className="tabs" aria-label={label} style={{ marginBottom: "var(--space-4)" }}>
      {tabs.map(([name, title]) => (
        <Link
          key={name}
          href={name === tabs[0]?.[0] ? path : `${path}?tab=${name}`}
          {...(name === current && { "aria-current": "page" as const })}
        >
          {title}
        </Link>
      ))}
    </nav>
  );
}

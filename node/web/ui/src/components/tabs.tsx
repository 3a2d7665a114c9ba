import { Link, useLocation, useSearchParams } from "wouter";
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
  keeps = [],
}: {
  label: string;
  tabs: readonly (readonly [string, string])[];
  current: string;
  /** Parameters of the address that are the same ones in each part; others are of one alone. */
  keeps?: readonly string[];
}) {
  const [path] = useLocation();
  const [parameters] = useSearchParams();
  const to = (name: string) => {
    const after = new URLSearchParams([...parameters].filter(([each]) => keeps.includes(each)));
    if (name !== tabs[0]?.[0]) after.set("tab", name);
    return after.size === 0 ? path : `${path}?${after}`;
  };
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map(([name, title]) => (
        <Link key={name} href={to(name)} {...(name === current && { "aria-current": "page" })}>
          {title}
        </Link>
      ))}
    </nav>
  );
}

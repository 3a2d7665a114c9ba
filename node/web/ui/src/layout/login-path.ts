/** Where one logs in, to come back to where one is: to the lines of a log, too. */
export function loginPath(): string {
  const here = location.pathname + location.search + location.hash;
  return `/login?to=${encodeURIComponent(here)}`;
}

/** Where somebody was when they had to log in: a path of this page, nothing else. */
export function backTo(search: string): string {
  const wanted = new URLSearchParams(search).get("to") ?? "/";
  if (!URL.canParse(wanted, location.origin)) return "/";
  const { origin, pathname, search: query, hash } = new URL(wanted, location.origin);
  const isHere = origin === location.origin && pathname.startsWith("/ui/");
  return isHere ? pathname + query + hash : "/";
}

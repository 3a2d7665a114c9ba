import { Menu } from "lucide-react";
import { type ReactNode, Suspense, useEffect, useRef, useState } from "react";
import { Link, Route, Switch, useLocation } from "wouter";
import type { Session } from "@/api/session";
import { Empty, Loading } from "@/components/states";
import { whoText } from "@/format/who";
import { Boundary } from "@/layout/boundary";
import { Elsewhere } from "@/layout/elsewhere";
import { LiveStatus } from "@/layout/live-status";
import { Mark } from "@/layout/mark";
import { NotTold } from "@/layout/not-told";
import { SessionMenu } from "@/layout/session-menu";
import { ThemeButton } from "@/layout/theme";
import { Titled } from "@/layout/title";
import { ROUTES, VIEWS, type View } from "@/layout/views";
import { useBuilds, useItems } from "@/live/use-live";
import { isRunning } from "@/views/builds/standing";

/** What stands around every view: where one is, how the page stands with its node, who one is. */
export function Frame({ session }: { session: Session }) {
  const [isOpen, setOpen] = useState(false);
  const [location] = useLocation();
  const main = useRef<HTMLElement>(null);
  const view = VIEWS.find(({ path }) => isAt(path, location));
  const title = view?.title;
  const shown = useRef(location);
  useEffect(() => {
    // Who has just come begins at the top of the page: the way past the menu, then the menu.
    if (shown.current === location) return;
    shown.current = location;
    setOpen(false);
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [location]);
  return (
    <div className="frame">
      <a className="button skip" href="#main">
        To the content
      </a>
      <Side open={isOpen} session={session} onClose={() => setOpen(false)} />
      {isOpen && (
        <button
          type="button"
          className="beside"
          aria-label="Close the menu"
          onClick={() => setOpen(false)}
        />
      )}
      <header className="top">
        <button
          type="button"
          className="button icon menu-button"
          aria-label="Menu"
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        >
          <Menu aria-hidden size={18} />
        </button>
        <span className="soft">
          on <strong>{session.node.name}</strong>
        </span>
        <span className="grow" />
        <LiveStatus />
        <ThemeButton />
        <SessionMenu session={session} />
      </header>
      <main id="main" className="main" tabIndex={-1} ref={main}>
        {session.warning && <div className="notice warn">{session.warning}</div>}
        <NotTold />
        <Elsewhere />
        <Titled view={title ?? null}>
          <Boundary key={location}>
            {view !== undefined && !session.actions.includes(view.action) ? (
              <NotForYou view={view} session={session} />
            ) : (
              <Suspense fallback={<Loading what={title ?? "the view"} lines={6} />}>
                <Switch>
                  {ROUTES.map(([path, component]) => (
                    <Route key={path} path={path} component={component} />
                  ))}
                  <Route>
                    <Empty title="There is no such view">
                      <Link href="/">To the overview</Link>
                    </Empty>
                  </Route>
                </Switch>
              </Suspense>
            )}
          </Boundary>
        </Titled>
      </main>
    </div>
  );
}

/** Where a link leads somebody whose rights don't go as far: what they may see is not asked for. */
function NotForYou({ view, session }: { view: View; session: Session }) {
  return (
    <>
      <ViewHead title={view.title} />
      <Empty title={`${whoText(session.actor)} may not see this`}>
        <p className="soft">
          It takes the right <code>{view.action}</code>.{" "}
          {view.action === "own-node"
            ? "Only the owner of this node's host has it: there, buildnet login opens the page."
            : "An admin of the cluster can give it, under Access."}
        </p>
        <Link href="/">To the overview</Link>
      </Empty>
    </>
  );
}

function Side({
  open,
  session,
  onClose,
}: {
  open: boolean;
  session: Session;
  onClose: () => void;
}) {
  const [location] = useLocation();
  const queued = useItems("queue");
  const builds = useBuilds();
  const counts: Record<string, number> = {
    "/ui/queue": [...queued.keys()].filter((id) => id !== "queue").length,
    "/ui/builds": builds.filter((build) => isRunning(build, queued.get(build.id))).length,
  };
  useEffect(() => {
    if (!open) return;
    const close = (event: KeyboardEvent) => event.key === "Escape" && onClose();
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [open, onClose]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Enter on a link is a click, and Escape closes
    <nav
      className={open ? "side open" : "side"}
      aria-label="Views"
      onClick={(event) => {
        if ((event.target as Element).closest("a")) onClose();
      }}
    >
      <Link href="/" className="brand">
        <Mark />
        BuildNet
      </Link>
      <ul>
        {VIEWS.filter((view) => session.actions.includes(view.action)).map(
          ({ path, title, icon: Icon }) => (
            <li key={path}>
              <Link href={path} {...(isAt(path, location) && { "aria-current": "page" as const })}>
                <Icon aria-hidden size={18} />
                {title}
                {(counts[path] ?? 0) > 0 && (
                  <span className="badge busy count">{counts[path]}</span>
                )}
              </Link>
            </li>
          ),
        )}
      </ul>
    </nav>
  );
}

function isAt(path: string, location: string): boolean {
  return path === "/" ? location === "/" : location === path || location.startsWith(`${path}/`);
}

/** The head of a view: its title, and what can be done there. */
export function ViewHead({ title, children }: { title: ReactNode; children?: ReactNode }) {
  return (
    <div className="view-head">
      <h1>{title}</h1>
      <div className="row">{children}</div>
    </div>
  );
}

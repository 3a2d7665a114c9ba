import {
  type Query,
  QueryClient,
  QueryClientProvider,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { Redirect, Route, Switch } from "wouter";
import { Problem } from "@/api/problem";
import { type Session, useSession } from "@/api/session";
import { ProblemView } from "@/components/problem-view";
import { Loading } from "@/components/states";
import { Toasts } from "@/components/toasts";
import { Frame } from "@/layout/frame";
import { Login } from "@/layout/login";
import { loginPath } from "@/layout/login-path";
import { browserFeed } from "@/live/use-live";
import { FeedContext } from "@/live/use-silence";

const FRESH_MS = 2_000;

/** The whole page. */
export function App() {
  const client = useMemo(
    () =>
      new QueryClient({
        defaultOptions: {
          // A node of this host or of this network answers without any other network, too.
          mutations: { networkMode: "always" },
          queries: {
            networkMode: "always",
            refetchOnReconnect: true,
            staleTime: FRESH_MS,
            // What was refused or is not there does not change by asking again.
            retry: (failures, thrown) => failures < 2 && Problem.from(thrown).status === 0,
          },
        },
      }),
    [],
  );
  return (
    <QueryClientProvider client={client}>
      <Toasts>
        <Switch>
          <Route path="/login" component={Login} />
          <Route path="/ui">
            <Redirect to="/" replace />
          </Route>
          <Route>
            <Inside />
          </Route>
        </Switch>
      </Toasts>
    </QueryClientProvider>
  );
}

function Inside() {
  const session = useSession();
  if (session.data !== undefined) return <Live session={session.data} />;
  if (session.error === null) return <Loading what="who you are" />;
  if (Problem.from(session.error).status === 401) {
    return <Redirect to={loginPath()} replace />;
  }
  return (
    <main className="login">
      <ProblemView
        problem={session.error}
        command="buildnet node status"
        onRetry={() => session.refetch()}
      />
    </main>
  );
}

function Live({ session }: { session: Session }) {
  const feed = useMemo(browserFeed, []);
  useEffect(() => {
    feed.start();
    return () => feed.stop();
  }, [feed]);
  const client = useQueryClient();
  const isLive = useSyncExternalStore(feed.subscribe, () => feed.getState().status === "live");
  useEffect(() => {
    // What could not be asked for meanwhile is asked for again.
    const failed = { predicate: (one: Query) => one.state.status === "error" };
    if (isLive) void client.refetchQueries({ type: "active", ...failed });
  }, [isLive, client]);
  return (
    <FeedContext value={feed}>
      <Frame session={session} />
    </FeedContext>
  );
}

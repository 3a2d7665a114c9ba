import { query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { useItems } from "@/live/use-live";
import { type Names, workspacesOf } from "@/pool/entry-words";

/** Where the workspaces of builds stand that began before the entries that are shown. */
const STARTED = { params: { query: { type: ["build.started"], limit: 100 } } };
const ASKED_ONCE = { staleTime: Number.POSITIVE_INFINITY, gcTime: 0 };

/** How people call the nodes and builds that entries name by their ids. */
export function useEntryNames(entries: readonly Schema["LedgerEntry"][]): Names {
  const nodes = useItems("nodes");
  const builds = useItems("builds");
  const started = query.useQuery("get", "/api/ledger", STARTED, {
    enabled: useMay("view-ledger"),
    ...ASKED_ONCE,
  });
  const workspaces = workspacesOf([...(started.data?.entries ?? []), ...entries]);
  return {
    workspace: (id) => workspaces.get(id) ?? (builds.get(id)?.workspace as string | undefined),
    node: (id) => nodes.get(id)?.name as string | undefined,
  };
}

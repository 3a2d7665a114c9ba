import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { api, type Schema } from "@/api/client";
import { usePages } from "@/components/pages";
import { useEvents, useFeedState } from "@/live/use-live";
import { merged } from "@/views/ledger/entries";
import type { LedgerFilter } from "@/views/ledger/filter";

export type Entry = Schema["LedgerEntry"];
type Part = Schema["LedgerEntries"];

const PAGE = 50;
/** Entries come in bursts: the list is asked for once for all of one. */
const GATHER_MS = 150;

async function fetchPart(filter: LedgerFilter, cursor: string | null): Promise<Part | undefined> {
  const query = { ...filter, limit: PAGE, ...(cursor !== null && { cursor }) };
  const { data } = await api.GET("/api/ledger", { params: { query } });
  return data;
}

/**
 * The entries that fit, newest first: pages that were asked for, and above them what is new since.
 * While the live data is paused, new ones are counted and wait.
 */
export function useEntries(filter: LedgerFilter) {
  const { paused, gaps } = useFeedState();
  const client = useQueryClient();
  const [waiting, setWaiting] = useState(0);
  const pages = usePages(["ledger", filter], (cursor) => fetchPart(filter, cursor));
  const head = useQuery({
    queryKey: ["ledger-head", filter],
    queryFn: async () => (await fetchPart(filter, null)) ?? null,
    enabled: pages.parts !== undefined,
  });
  const sealed = useRef(false); // while it was paused
  const show = () => {
    setWaiting(0);
    sealed.current = false;
    return head.refetch();
  };
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const soon = () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      void show();
    }, GATHER_MS);
  };
  useEvents("ledger", () => (paused ? setWaiting((count) => count + 1) : soon()));
  useEvents("pool", ({ data }) => {
    if (data.id !== "ledger") return;
    if (paused) sealed.current = true;
    else soon();
  });
  useEffect(() => () => clearTimeout(timer.current), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was missed is asked for, once
  useEffect(() => {
    if (!paused && (gaps > 0 || waiting > 0 || sealed.current)) soon();
  }, [paused, gaps]);

  const first = pages.parts?.[0];
  const newest = head.data ?? undefined;
  const isApart = first !== undefined && newest !== undefined && merged(first, newest) === null;
  useEffect(() => {
    // More came than one page has: the list begins anew.
    if (isApart) void client.resetQueries({ queryKey: ["ledger", filter] });
  }, [isApart, client, filter]);

  const listed = pages.parts?.flatMap((part) => part.entries);
  return {
    entries: first && newest && listed ? (merged(first, newest, listed) ?? listed) : listed,
    list: pages,
    /** New ones that were not asked for; whether they fit is not known yet. */
    waiting,
    show,
    /** To where the search came, where one page did not look at everything. */
    lookedTo: pages.parts?.at(-1)?.looked_to ?? null,
    pruned: first?.pruned ?? null,
  };
}

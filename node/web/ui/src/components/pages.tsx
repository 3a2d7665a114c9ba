import { useInfiniteQuery } from "@tanstack/react-query";

interface Part {
  next: string | null;
}

/**
 * A list that the API gives in parts: what was fetched so far, and a way to fetch the next. `key`
 * has all that the list depends on; another key begins anew.
 */
export function usePages<P extends Part>(
  key: readonly unknown[],
  fetchPart: (cursor: string | null) => Promise<P | undefined>,
) {
  const found = useInfiniteQuery({
    queryKey: key,
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam }) => {
      const part = await fetchPart(pageParam);
      if (part === undefined) throw new Error("the node answered nothing");
      return part;
    },
    getNextPageParam: (part) => part.next,
  });
  return {
    parts: found.data?.pages,
    /** How it went: for `NotAnswered`. */
    asked: found,
    isFetching: found.isFetching,
    /** Whether the node has more than was fetched. */
    hasMore: found.hasNextPage,
    more: () => void found.fetchNextPage(),
  };
}

/** What stands below a list that goes on. */
export function MoreButton({
  list,
}: {
  list: { hasMore: boolean; isFetching: boolean; more: () => void };
}) {
  if (!list.hasMore) return null;
  return (
    <div className="row" style={{ justifyContent: "center", marginTop: "var(--space-3)" }}>
      <button type="button" className="button" disabled={list.isFetching} onClick={list.more}>
        {list.isFetching ? "Loading…" : "Show more"}
      </button>
    </div>
  );
}

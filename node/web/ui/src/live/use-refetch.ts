import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import type { Channel, LiveEvent } from "@/live/items";
import { useEvents, useOfFeed } from "@/live/use-live";

const EVERY_MS = 1_000;

/**
 * Ask again for what was asked for under a key, such as `["get", "/api/pool"]`, after an event of a
 * channel (of those that `counts` lets through): a second after the first one, so that a hundred
 * events at once cost one request. Also after a time of which the node can't tell what happened.
 * While the page is paused, what it shows stands still: it is asked for when the page goes on.
 */
export function useRefetchOn(
  channel: Channel,
  key: readonly unknown[],
  counts: (event: LiveEvent) => boolean = () => true,
): void {
  const client = useQueryClient();
  const gaps = useOfFeed((state) => state.gaps);
  const isPaused = useOfFeed((state) => state.paused);
  const seen = useRef(gaps);
  const isDue = useRef(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const latest = useRef({ key, isPaused });
  latest.current = { key, isPaused };
  const wait = () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      if (latest.current.isPaused) return;
      isDue.current = false;
      void client.invalidateQueries({ queryKey: latest.current.key }, { cancelRefetch: false });
    }, EVERY_MS);
  };
  const again = () => {
    isDue.current = true;
    if (!isPaused) wait();
  };
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      timer.current = undefined;
      // Who comes back is not shown what is known to be old.
      if (!isDue.current) return;
      isDue.current = false;
      void client.invalidateQueries({ queryKey: latest.current.key, refetchType: "none" });
    },
    [client],
  );
  useEvents(channel, (event) => {
    if (counts(event)) again();
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: each gap is made good for once
  useEffect(() => {
    if (gaps === seen.current) return;
    seen.current = gaps;
    again();
  }, [gaps]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the page goes on
  useEffect(() => {
    if (!isPaused && isDue.current) wait();
  }, [isPaused]);
}

/** Lets events of nodes through, except of how busy one is: that changes neither health nor links. */
export function isNoLoad(event: LiveEvent): boolean {
  return event.type !== "node_status" || "status" in event.data;
}

/** What the channel `pool` counts the changes of. */
type Standing = "ledger" | "health" | "admission" | "dead_letters" | "builds" | "store" | "links";

/** Ask again for what was asked for under a key once the node says that it is different. */
export function useRefetchOnPool(key: readonly unknown[], ...of: readonly Standing[]): void {
  useRefetchOn("pool", key, (event) => of.some((one) => one === event.data.id));
}

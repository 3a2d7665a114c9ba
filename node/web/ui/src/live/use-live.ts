import { useContext, useEffect, useRef, useSyncExternalStore } from "react";
import { api } from "@/api/client";
import { Feed, type FeedState, type Surroundings } from "@/live/feed";
import type { BuildItem, Channel, Items, LiveEvent, NodeItem } from "@/live/items";
import { FeedContext } from "@/live/use-silence";

/** The feed of a browser. */
export function browserFeed(): Feed {
  return new Feed(SURROUNDINGS);
}

/** A feed of what one build prints, as it is printed. */
export function outputFeed(build: string): Feed {
  return new Feed(SURROUNDINGS, ["logs"], build);
}

const SURROUNDINGS: Surroundings = {
  open: (ticket) => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    return new WebSocket(`${scheme}://${location.host}/ws?ticket=${encodeURIComponent(ticket)}`);
  },
  ticket: async () => {
    const { data } = await api.POST("/api/ws-ticket");
    if (data === undefined) throw new Error("the node gave no ticket");
    return data.ticket;
  },
  now: Date.now,
  // A page that is not looked at draws no pictures, but has to go on.
  soon: (run) => (document.hidden ? setTimeout(run, 250) : requestAnimationFrame(run)),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  changed: (run) => {
    const seen = () => document.hidden || run();
    const heard = [
      [window, "online", run],
      [window, "offline", run],
      [document, "visibilitychange", seen],
    ] as const;
    for (const [target, name, listener] of heard) target.addEventListener(name, listener);
    return () => {
      for (const [target, name, listener] of heard) target.removeEventListener(name, listener);
    };
  },
};

export function useFeed(): Feed {
  const feed = useContext(FeedContext);
  if (feed === null) throw new Error("a view with live data stands outside of FeedContext");
  return feed;
}

export function useFeedState(): FeedState {
  const feed = useFeed();
  return useSyncExternalStore(feed.subscribe, feed.getState);
}

/** Something of the feed's state: each message changes the whole, few change a part of it. */
export function useOfFeed<Value extends string | number | boolean | null>(
  part: (state: FeedState) => Value,
): Value {
  const feed = useFeed();
  return useSyncExternalStore(feed.subscribe, () => part(feed.getState()));
}

/** The items of a channel by their id: another map after each change, the same one until then. */
export function useItems(channel: Channel): Items {
  const feed = useFeed();
  return useSyncExternalStore(feed.subscribe, () => feed.items(channel));
}

export function useNodes(): NodeItem[] {
  return [...useItems("nodes").values()] as unknown as NodeItem[];
}

export function useBuilds(): BuildItem[] {
  return [...useItems("builds").values()] as unknown as BuildItem[];
}

/** Call this with each event of a channel while the view is there. */
export function useEvents(channel: Channel, hear: (event: LiveEvent) => void): void {
  const feed = useFeed();
  const latest = useRef(hear);
  latest.current = hear;
  useEffect(() => feed.listen(channel, (event) => latest.current(event)), [feed, channel]);
}

/**
 * How current what was asked for is, in milliseconds since 1970: while events tell of each change,
 * as current as they are, a second exact; but for what could not be asked for again.
 */
export function useAsOf({
  dataUpdatedAt,
  error,
}: {
  dataUpdatedAt: number;
  error: unknown;
}): number {
  const heardAt = useOfFeed(({ status, paused, heardAt }) =>
    status === "live" && !paused ? Math.floor((heardAt ?? 0) / 1_000) * 1_000 : 0,
  );
  return error === null ? Math.max(dataUpdatedAt, heardAt) : dataUpdatedAt;
}

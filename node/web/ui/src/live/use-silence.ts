import { createContext, useContext, useSyncExternalStore } from "react";
import type { Feed } from "@/live/feed";

/** The feed of the page; null outside of it: before somebody is logged in. */
export const FeedContext = createContext<Feed | null>(null);

/** Why the node can't be heard any more, and since when; null while it is, or never was. */
export interface Silence {
  /** When it was last heard, in milliseconds since 1970. */
  heardAt: number;
  reason: string | null;
}

const NOBODY = () => () => {};

/** What was true when the node was last heard may not be so now: what would go on stands still. */
export function useSilence(): Silence | null {
  const feed = useContext(FeedContext);
  const found = () => {
    const state = feed?.getState();
    const isSilent = state?.status === "lost" || state?.status === "ended";
    return isSilent && state.heardAt !== null ? (state as Silence) : null;
  };
  return useSyncExternalStore(feed?.subscribe ?? NOBODY, found);
}

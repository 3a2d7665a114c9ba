import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import type { Channel, LiveEvent } from "@/live/items";
import { useEvents } from "@/live/use-live";

const EVERY_MS = 1_000;

/**
 * Ask again for what was asked for under a key, such as `["get", "/api/pool"]`, after an event of a
 * channel (of those that `counts` lets through): a second after the first one, so that a hundred
 * events at once cost one request.
 */
export function useRefetchOn(
  channel: Channel,
  key: readonly unknown[],
  counts: (event: LiveEvent) => boolean = () => true,
): void {
  const client = useQueryClient();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEvents(channel, (event) => {
    if (timer.current !== undefined || !counts(event)) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      void client.invalidateQueries({ queryKey: key }, { cancelRefetch: false });
    }, EVERY_MS);
  });
}

import { useCallback, useSyncExternalStore } from "react";
import type { LogText } from "@/components/log-viewer/log-text";

const HIDDEN_MS = 250;
/** The places of so many rows take a while to be reckoned anew. */
const MANY_ROWS = 50_000;
const MANY_MS = 100;

/** The version of a log that grows: told once a picture at most, however much comes in between. */
export function useLogVersion(text: LogText): number {
  const subscribe = useCallback(
    (listener: () => void) => {
      let isWaiting = false;
      const tell = () => {
        isWaiting = false;
        listener();
      };
      return text.subscribe(() => {
        if (isWaiting) return;
        isWaiting = true;
        if (document.hidden) setTimeout(tell, HIDDEN_MS);
        else if (text.rows > MANY_ROWS) setTimeout(tell, MANY_MS);
        else requestAnimationFrame(tell);
      });
    },
    [text],
  );
  return useSyncExternalStore(subscribe, text.getVersion);
}

import { useSyncExternalStore } from "react";
import { ago, dateTime } from "@/format/format";

let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The time in milliseconds since 1970, a second exact: one clock for the whole page. */
export function useNow(): number {
  const coarse = useSyncExternalStore(subscribe, () => now);
  return Math.max(coarse, Math.floor(Date.now() / 1_000) * 1_000);
}

/** How long ago something was; stands out once it is older than `staleAfterMs`. */
export function Age({
  at,
  staleAfterMs,
}: {
  at: string | number | null | undefined;
  staleAfterMs?: number;
}) {
  const current = useNow();
  if (at == null) return <span className="soft">unknown</span>;
  const moment = typeof at === "number" ? at : Date.parse(at);
  const age = Math.max(0, current - moment);
  const stale = staleAfterMs !== undefined && age > staleAfterMs;
  return (
    <time
      dateTime={new Date(moment).toISOString()}
      title={dateTime(moment)}
      className={stale ? "badge warn" : "soft"}
    >
      {stale ? `${ago(age)}, stale` : ago(age)}
    </time>
  );
}

import { useEffect, useReducer, useState } from "react";
import { Problem } from "@/api/problem";
import { LogText } from "@/components/log-viewer/log-text";

interface FetchedLog {
  text: LogText;
  isDone: boolean;
  problem: unknown;
  retry: () => void;
}

/** The log at an address, as it comes in; null: none is wanted. */
export function useFetchedLog(href: string | null): FetchedLog | null {
  const [attempt, retry] = useReducer((count: number) => count + 1, 0);
  const [found, setFound] = useState<(Omit<FetchedLog, "retry"> & { href: string }) | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt fetches again
  useEffect(() => {
    if (href === null) return;
    const over = new AbortController();
    const text = new LogText();
    const tell = (isDone: boolean, problem: unknown) => {
      if (!over.signal.aborted) setFound({ href, text, isDone, problem });
    };
    tell(false, null);
    read(href, text, over.signal).then(
      () => tell(true, null),
      (thrown: unknown) => tell(true, thrown),
    );
    return () => over.abort();
  }, [href, attempt]);
  return href === null || found?.href !== href ? null : { ...found, retry };
}

async function read(href: string, text: LogText, signal: AbortSignal): Promise<void> {
  const answer = await fetch(href, { signal, credentials: "same-origin" });
  if (!answer.ok || answer.body === null) throw await Problem.of(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text.append(value);
  }
}

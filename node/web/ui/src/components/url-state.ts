import { useCallback, useEffect, useState } from "react";
import { useSearchParams } from "wouter";

/** How a change goes into the browser's history: as a step that Back undoes, or in place of one. */
type Step = "push" | "replace";

/**
 * A filter in the address: `const [status, setStatus] = useFilter("status")`. "" is not written. A
 * change takes the cursor of the list back to its beginning, and is undone by Back.
 */
export function useFilter(name: string, otherwise = ""): [string, (value: string) => void] {
  return useParameter(name, otherwise, "push");
}

/** The same for what is typed letter by letter, or opened and closed: no step of the history. */
export function useFilterInPlace(name: string): [string, (value: string) => void] {
  return useParameter(name, "", "replace");
}

function useParameter(
  name: string,
  otherwise: string,
  step: Step,
): [string, (value: string) => void] {
  const [parameters, setParameters] = useSearchParams();
  const set = useCallback(
    (value: string) => {
      const isSame = value === (new URLSearchParams(location.search).get(name) ?? otherwise);
      setParameters(
        (before) => {
          const after = new URLSearchParams(before);
          if (value === otherwise) after.delete(name);
          else after.set(name, value);
          if (name !== "cursor") after.delete("cursor");
          return after;
        },
        { replace: step === "replace" || isSame },
      );
    },
    [name, otherwise, step, setParameters],
  );
  return [parameters.get(name) ?? otherwise, set];
}

const TYPING_MS = 250;

/** A filter that is typed: it comes into the address, and to the node, once the typing rests. */
export function useTypedFilter(name: string): [string, (value: string) => void] {
  const [kept, keep] = useFilterInPlace(name);
  const [typed, setTyped] = useState<string | null>(null);
  useEffect(() => {
    if (typed === null) return;
    const timer = setTimeout(() => {
      keep(typed);
      setTyped(null);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, keep]);
  return [typed ?? kept, setTyped];
}

/** What is typed in a box that is sent as a whole; it begins anew where the kept value is another. */
export function useDraft(kept: string): [string, (value: string) => void] {
  const [of, setOf] = useState(kept);
  const [typed, setTyped] = useState(kept);
  if (of !== kept) {
    setOf(kept);
    setTyped(kept);
  }
  return [typed, setTyped];
}

/** Changes several filters in the address in one step; "" takes one away. */
export function useSetFilters(): (values: Readonly<Record<string, string>>) => void {
  const [, setParameters] = useSearchParams();
  return useCallback(
    (values) =>
      setParameters((before) => {
        const after = new URLSearchParams(before);
        after.delete("cursor");
        for (const [name, value] of Object.entries(values)) {
          if (value === "") after.delete(name);
          else after.set(name, value);
        }
        return after;
      }),
    [setParameters],
  );
}

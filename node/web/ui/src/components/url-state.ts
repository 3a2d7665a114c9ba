import { useCallback } from "react";
import { useSearchParams } from "wouter";

/**
 * A filter in the address: `const [status, setStatus] = useFilter("status")`. "" is not written. A
 * change takes the place of the entry in the browser's history, and takes the cursor of the list
 * back to its beginning.
 */
export function useFilter(name: string, otherwise = ""): [string, (value: string) => void] {
  const [parameters, setParameters] = useSearchParams();
  const set = useCallback(
    (value: string) =>
      setParameters(
        (before) => {
          const after = new URLSearchParams(before);
          if (value === otherwise) after.delete(name);
          else after.set(name, value);
          if (name !== "cursor") after.delete("cursor");
          return after;
        },
        { replace: true },
      ),
    [name, otherwise, setParameters],
  );
  return [parameters.get(name) ?? otherwise, set];
}

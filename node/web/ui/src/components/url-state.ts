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

/** Changes several filters in the address at once; "" takes one away. */
export function useSetFilters(): (values: Readonly<Record<string, string>>) => void {
  const [, setParameters] = useSearchParams();
  return useCallback(
    (values) =>
      setParameters(
        (before) => {
          const after = new URLSearchParams(before);
          after.delete("cursor");
          for (const [name, value] of Object.entries(values)) {
            if (value === "") after.delete(name);
            else after.set(name, value);
          }
          return after;
        },
        { replace: true },
      ),
    [setParameters],
  );
}

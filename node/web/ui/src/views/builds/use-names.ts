import { useMemo } from "react";
import { useNodes } from "@/live/use-live";
import type { Names } from "@/views/builds/tasks";

/** Names of nodes by their id. */
export function useNames(): Names {
  const nodes = useNodes();
  const text = nodes.map((node) => `${node.id} ${node.name}`).join("\n");
  return useMemo(
    () =>
      new Map(
        text.split("\n").map((line) => {
          const [id = "", ...name] = line.split(" ");
          return [id, name.join(" ")] as const;
        }),
      ),
    [text],
  );
}

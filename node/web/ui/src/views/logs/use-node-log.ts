import { useEffect, useReducer, useState } from "react";
import { api } from "@/api/client";
import { useFeed, useFeedState } from "@/live/use-live";
import { type Level, type LogLine, NodeLog } from "@/views/logs/node-log";

const PAGE = 1_000;

/** What the node has logged since it started and still keeps, and what it logs from now on. */
export function useNodeLog(level: Level) {
  const feed = useFeed();
  const { gaps } = useFeedState();
  const [attempt, retry] = useReducer((count: number) => count + 1, 0);
  const [log, setLog] = useState<NodeLog | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: after a gap all is asked for again
  useEffect(() => {
    let isOver = false;
    const next = new NodeLog(level);
    const end = feed.listen("node_logs", (event) => {
      if (event.type === "log_line") next.take(event.data as unknown as LogLine);
    });
    fetchAll(level).then(
      (lines) => {
        if (isOver) return;
        next.begin(lines);
        setLog(next);
        setProblem(null);
      },
      (thrown: unknown) => {
        if (!isOver) setProblem(thrown);
      },
    );
    return () => {
      isOver = true;
      end();
    };
  }, [feed, level, gaps, attempt]);
  return { text: log?.text ?? null, problem, retry };
}

async function fetchAll(level: Level): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  let cursor: string | null = null;
  do {
    const query: { level: Level; limit: number; cursor?: string } = { level, limit: PAGE };
    if (cursor !== null) query.cursor = cursor;
    const { data } = await api.GET("/api/node/logs", { params: { query } });
    lines.push(...(data?.lines ?? []));
    cursor = data?.next ?? null;
  } while (cursor !== null);
  return lines;
}

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { query, type Schema } from "@/api/client";
import { Problem } from "@/api/problem";
import { readEvents } from "@/views/builds/event-stream";
import { after, type BuildEvent, type LiveBuild, NOTHING_YET } from "@/views/builds/live-build";
import { type BuildTask, keyOf, taskOf } from "@/views/builds/tasks";

export type Told = Schema["BuildReport"] | Schema["RecordedBuild"];

export interface ShownBuild {
  id: string;
  /** The record of the node that drives it; null: it can't be had, and only events tell of it. */
  told: Told | null;
  live: LiveBuild;
  running: boolean;
  status: string;
  tasks: readonly BuildTask[];
  paths: ReadonlyMap<string, string | null>;
  /** Whether all tasks that it means are among them. */
  complete: boolean;
}

/** So soon what broke off is asked for again, then each time twice as late up to the second. */
const RETRY_MS = 1_500;
const RETRY_AT_MOST_MS = 10_000;
/** What a build waits for whose driver is lost: its record says whether that one can be asked. */
const SUCCESSOR = "the node that goes on with the build";

/**
 * A build of whichever node: as it is recorded, and as it goes on while it runs. Who shows another
 * build has to be another component (by its key).
 */
export function useBuild(id: string): {
  build: ShownBuild | null;
  problem: unknown;
  retry: () => void;
} {
  const path = { params: { path: { name: id } } };
  const recorded = query.useQuery("get", "/api/build/{name}", path);
  const isRunning = recorded.data?.status === "running";
  // Of a build whose record can't be had events may tell: from its driver, or who goes on with it.
  // While it is asked for again its error is not known: that it was asked for in vain stays so.
  const hasNone = recorded.data === undefined && recorded.errorUpdateCount > 0;
  const { live } = useEvents(id, isRunning || hasNone, isRunning);
  const graph = query.useQuery(
    "get",
    "/api/build/{build_id}/graph",
    { params: { path: { build_id: id } } },
    {
      enabled: recorded.data !== undefined,
      staleTime: isRunning ? 0 : Number.POSITIVE_INFINITY,
    },
  );
  const build = useMemo(() => {
    const told = (recorded.data ?? null) as Told | null;
    if (told === null && live.begun === null && live.ended === null) return null;
    return merged(id, told, live, graph.data ?? null);
  }, [id, recorded.data, live, graph.data]);
  return {
    build,
    problem: recorded.error,
    retry: () => recorded.refetch(),
  };
}

/**
 * Follow a build's events while it runs; a picture is drawn of all that came since the last.
 * `isRecorded`: its record is known, so that events that break off come again. Whatever they tell,
 * or don't, it is the record that says that the build is over: it is asked for until it does.
 */
function useEvents(id: string, follow: boolean, isRecorded: boolean) {
  const [live, setLive] = useState<LiveBuild>(NOTHING_YET);
  const client = useQueryClient();
  useEffect(() => {
    if (!follow) return;
    const over = new AbortController();
    let waiting: BuildEvent[] = [];
    let frame: ReturnType<typeof setTimeout> | null = null;
    let known = NOTHING_YET;
    let isOver = false;
    let failures = 0;
    let retry: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      frame = null;
      known = after(known, waiting);
      waiting = [];
      setLive(known);
    };
    const forget = () => {
      for (const route of ["/api/build/{name}", "/api/build/{build_id}/graph", "/api/builds"]) {
        void client.invalidateQueries({ queryKey: ["get", route] });
      }
    };
    const take = (events: BuildEvent[]) => {
      waiting.push(...events);
      frame ??= setTimeout(show, document.hidden ? 250 : 60);
      if (events.some((event) => event.type === "build_started")) forget();
      if (events.some((event) => event.type === "waiting" && event.for === SUCCESSOR)) forget();
      if (events.some((event) => event.type === "build_finished")) {
        isOver = true;
        forget();
      }
      // What stands as before is not named: the report names it.
      if (events.some((event) => event.type === "tasks_up_to_date" && isUnnamed(event))) forget();
    };
    const read = async () => {
      const began = Date.now();
      try {
        await readEvents(id, over.signal, take);
      } catch (thrown) {
        if (!isRecorded && Problem.from(thrown).status !== 0) return;
      }
      if (over.signal.aborted) return;
      if (Date.now() - began > RETRY_AT_MOST_MS) failures = 0;
      // Who told them is lost, or was: the record says so, or how the build ended.
      if (!isOver) forget();
      later();
    };
    /** Go on after a while. The events come from the beginning then. */
    const later = () => {
      if (isOver && !isRecorded) return;
      retry = setTimeout(
        () => {
          if (isOver) {
            forget();
            later();
            return;
          }
          known = NOTHING_YET;
          waiting = [];
          void read();
        },
        Math.min(RETRY_MS * 2 ** failures, RETRY_AT_MOST_MS),
      );
      failures += 1;
    };
    void read();
    return () => {
      over.abort();
      clearTimeout(retry);
      if (frame !== null) clearTimeout(frame);
    };
  }, [id, follow, isRecorded, client]);
  return { live };
}

function isUnnamed(event: BuildEvent): boolean {
  return (event.tasks as unknown[]).length < (event.count as number);
}

function merged(
  id: string,
  told: Told | null,
  live: LiveBuild,
  graph: Schema["BuildGraph"] | null,
): ShownBuild {
  const tasks = new Map<string, BuildTask>();
  const paths = new Map<string, string | null>();
  const isOver = told === null ? live.ended !== null : told.status !== "running";
  for (const one of graph?.tasks ?? []) {
    const key = keyOf(one.name, one.task);
    paths.set(one.name, one.path);
    tasks.set(key, {
      key,
      name: one.name,
      task: one.task,
      state: isOver ? "cancelled" : "waiting",
      node: null,
      since: null,
      report: null,
      needs: one.depends_on,
    });
  }
  const add = (task: BuildTask) => {
    const needs = tasks.get(task.key)?.needs ?? [];
    tasks.set(task.key, { ...task, needs: needs.length > 0 ? needs : task.needs });
  };
  for (const report of told?.packages ?? []) add(taskOf(report));
  if (!isOver || told === null) for (const task of live.tasks.values()) add(task);
  const status =
    told !== null && told.status !== "running"
      ? told.status
      : (live.ended?.status ?? told?.status ?? "running");
  return {
    id: told?.build_id ?? live.begun?.build_id ?? id,
    told,
    live,
    running: status === "running",
    status,
    tasks: [...tasks.values()],
    paths,
    complete: graph?.complete ?? false,
  };
}

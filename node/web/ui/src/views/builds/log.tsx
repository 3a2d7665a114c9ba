import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { useLocation } from "wouter";
import { Choice } from "@/components/filters";
import { LogText } from "@/components/log-viewer/log-text";
import { LogViewer } from "@/components/log-viewer/log-viewer";
import { useFetchedLog } from "@/components/log-viewer/use-fetched-log";
import { ProblemView } from "@/components/problem-view";
import { Empty } from "@/components/states";
import { useFilter } from "@/components/url-state";
import type { FeedState } from "@/live/feed";
import { outputFeed } from "@/live/use-live";
import { LiveOutput } from "@/views/builds/log-output";
import { type LoggedTask, logAddress, logCommand, sourcesOf } from "@/views/builds/log-tasks";

const ALL = "all";
const NO_OUTPUT: ReadonlyMap<string, LogText> = new Map();
const NOBODY = () => () => {};

/**
 * What the tasks of a build printed. While it runs its output comes live; what a task printed is kept
 * whole once it is over, and takes the place of what was seen live.
 */
export default function BuildLog({
  id,
  running,
  tasks,
}: {
  /** The whole id. */
  id: string;
  running: boolean;
  tasks: readonly LoggedTask[];
}) {
  const live = useOutput(id, running);
  const [, navigate] = useLocation();
  const printed = useSyncExternalStore(
    live?.output.subscribe ?? NOBODY,
    live?.output.tasks ?? (() => NO_OUTPUT),
  );
  const sources = useMemo(() => sourcesOf(tasks, printed.keys()), [tasks, printed]);
  const first = sources[0];
  const isAllFirst = live !== null && (running || first?.state !== "failed");
  const [wanted, setWanted] = useFilter("task", isAllFirst ? ALL : (first?.key ?? ""));
  const source = sources.find((one) => one.key === wanted) ?? null;
  const kept = useFetchedLog(source?.isKept ? logAddress(id, source) : null);
  const seen = source === null ? (live?.output.all ?? null) : (printed.get(source.key) ?? null);
  // What was seen live stays until all of the whole is there: nothing moves while one reads.
  const isWhole = kept !== null && (kept.isDone || seen === null) && kept.problem === null;
  const text = isWhole ? kept.text : seen;
  const isLive = source === null ? running : source.state === "running";

  // The numbers of all tasks' lines are of this page alone; those of a task's log last.
  const elsewhere = (line: number) => {
    const place = source === null ? live?.output.placeOf(line) : null;
    if (place == null) return null;
    const query = new URLSearchParams(location.search);
    query.set("task", place.key);
    const href = `${location.pathname}?${query}#L${place.line}`;
    return { href, go: () => navigate(href) };
  };

  const choice = (
    <Choice
      label="Output of"
      value={source?.key ?? (live === null ? "" : ALL)}
      options={[
        ...(live !== null ? [[ALL, "all tasks, live"] as const] : []),
        ...(live === null && source === null ? [["", "choose one"] as const] : []),
        ...sources.map((one) => [one.key, `${one.key} (${one.state})`] as const),
      ]}
      onChange={setWanted}
    />
  );
  if (source === null && live === null) {
    return (
      <Empty
        title={sources.length === 0 ? "This build printed nothing" : `Nothing is kept of ${wanted}`}
      >
        <p>Only tasks that ran, or came from the cache, have an output.</p>
        {sources.length > 0 && choice}
      </Empty>
    );
  }
  return (
    <div className="stack">
      {kept?.problem != null && (
        <ProblemView problem={kept.problem} command={logCommand(id, source)} onRetry={kept.retry} />
      )}
      {live !== null && <Connection state={live.state} />}
      <LogViewer
        key={source?.key ?? ALL}
        text={text ?? NOTHING}
        label={source === null ? `output of build ${id.slice(0, 12)}` : `output of ${source.key}`}
        isLive={isLive}
        isMain
        elsewhere={elsewhere}
        beginsAt={isLive || source?.state === "failed" ? "end" : "begin"}
        {...(isWhole && source !== null && { download: logAddress(id, source) })}
      >
        {choice}
      </LogViewer>
      {isLive && !isWhole && (
        <p className="soft small">
          Live. Of what a running task printed before you came the latest is here, 128 KiB at most;
          all of it is kept and shown once the task is over. Lines of a task have the numbers that
          they keep; a click on one of all tasks leads to it.
        </p>
      )}
    </div>
  );
}

const NOTHING = new LogText();

function Connection({ state }: { state: FeedState }) {
  if (state.status === "live" || state.status === "connecting") return null;
  return (
    <div className="notice warn" role="status">
      {state.status === "lost"
        ? `The connection to what is printed is lost (${state.reason}), trying again.`
        : `What is printed is not told any more: ${state.reason}`}
    </div>
  );
}

/** What a build prints from now on, until nobody looks any more; null: it never ran while one did. */
function useOutput(id: string, running: boolean): { output: LiveOutput; state: FeedState } | null {
  const live = useMemo(() => ({ output: new LiveOutput(), feed: outputFeed(id) }), [id]);
  const [wasRunning, setWasRunning] = useState(running);
  if (running && !wasRunning) setWasRunning(true);
  useEffect(() => {
    if (!running) return;
    const { feed, output } = live;
    let { gaps } = feed.getState();
    const end = feed.listen("logs", (event) => output.take(event));
    const endState = feed.subscribe(() => {
      if (feed.getState().gaps > gaps) output.broke();
      gaps = feed.getState().gaps;
    });
    feed.start();
    return () => {
      end();
      endState();
      feed.stop();
    };
  }, [live, running]);
  const state = useSyncExternalStore(live.feed.subscribe, live.feed.getState);
  return wasRunning ? { output: live.output, state } : null;
}

import { Command } from "@/components/command";
import { Choice } from "@/components/filters";
import { LogViewer } from "@/components/log-viewer/log-viewer";
import { ProblemView } from "@/components/problem-view";
import { Loading } from "@/components/states";
import { useFilter } from "@/components/url-state";
import { ViewHead } from "@/layout/frame";
import { LEVELS } from "@/views/logs/node-log";
import { useNodeLog } from "@/views/logs/use-node-log";

const CHOICES = LEVELS.map(
  (level) => [level, level === "debug" ? "all" : `${level} and above`] as const,
);

/** What this node says about itself, as it says it. */
export default function Logs() {
  const [chosen, setChosen] = useFilter("level", "info");
  const level = LEVELS.find((one) => one === chosen) ?? "info";
  const { text, problem, retry } = useNodeLog(level);
  const command = `buildnet node logs --follow --level ${level}`;
  return (
    <div className="stack">
      <ViewHead title="Log of this node" />
      {problem !== null ? (
        <ProblemView problem={problem} command={command} onRetry={retry} />
      ) : text === null ? (
        <Loading what="the log" lines={8} />
      ) : (
        <LogViewer text={text} label="log of this node" isLive>
          <Choice label="Level" value={level} options={CHOICES} onChange={setChosen} />
        </LogViewer>
      )}
      <p className="soft small">
        The latest lines since it started; its log file has what came before, and why it ended.
      </p>
      <Command line={command} />
    </div>
  );
}

import { CirclePause, CirclePlay } from "lucide-react";
import { useState } from "react";
import { useMay } from "@/api/session";
import { Command } from "@/components/command";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { NothingNow } from "@/components/nothing-now";
import { ProblemView } from "@/components/problem-view";
import { Empty, Loading } from "@/components/states";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { Who } from "@/components/who";
import { ViewHead } from "@/layout/frame";
import { useFeedState } from "@/live/use-live";
import { BehindDialog, CancelDialog, PauseDialog } from "@/views/queue/queue-dialogs";
import { QueueList } from "@/views/queue/queue-list";
import { matching, PRIORITIES, placeBehind, type QueuedBuild } from "@/views/queue/queue-order";
import { useQueue } from "@/views/queue/use-queue";
import "@/views/queue/queue.css";

type Asked =
  | { what: "cancel"; build: QueuedBuild }
  | { what: "behind"; build: QueuedBuild }
  | { what: "pause"; build: QueuedBuild | null };

/** What runs and waits in the whole pool, and in which order. */
export default function QueueView() {
  const queue = useQueue();
  const feed = useFeedState();
  const mayAll = useMay("manage-nodes");
  const [text, setText] = useFilterInPlace("text");
  const [state, setState] = useFilter("state");
  const [priority, setPriority] = useFilter("priority");
  const [node, setNode] = useFilter("node");
  const [asked, setAsked] = useState<Asked | null>(null);
  const { head, builds, refusal } = queue;
  if (head === null) {
    return feed.status === "live" ? (
      <Empty title="This node does not tell the queue">
        <Command line="buildnet queue list" />
      </Empty>
    ) : (
      <Loading what="the queue" lines={6} />
    );
  }
  const shown = matching(builds, { text, state, priority, node });
  const nodes = [...new Set(builds.map((build) => build.node))].sort();
  const close = () => setAsked(null);

  return (
    <>
      <ViewHead title="Queue">
        {mayAll &&
          (head.paused ? (
            <button type="button" className="button primary" onClick={() => queue.resume(null)}>
              <CirclePlay aria-hidden size={16} /> Resume the queue
            </button>
          ) : (
            <button
              type="button"
              className="button"
              onClick={() => setAsked({ what: "pause", build: null })}
            >
              <CirclePause aria-hidden size={16} /> Pause the queue
            </button>
          ))}
      </ViewHead>
      <div className="stack">
        {head.paused && (
          <div className="notice warn">
            <strong>
              The queue is paused
              {head.paused_by && (
                <>
                  {" "}
                  by <Who actor={head.paused_by} />
                </>
              )}
              {head.reason && `: ${head.reason}`}
            </strong>
            <span>Builds can be asked for and wait. What runs comes to its end.</span>
          </div>
        )}
        {!head.complete && (
          <div className="notice warn">
            Nobody coordinates now: these are the builds of this node alone.
          </div>
        )}
        {refusal !== null && refusal.build === null && (
          <ProblemView problem={refusal.problem} command={refusal.command} />
        )}
        <div>
          <FilterBar
            shown={builds.length === 0 && feed.status !== "live" ? null : shown.length}
            total={builds.length}
            noun="build"
          >
            <SearchBox label="Workspace, person, node or id" value={text} onChange={setText} />
            <Choice
              label="State"
              value={state}
              options={["", "running", "waiting", "paused"]}
              onChange={setState}
            />
            <Choice
              label="Priority"
              value={priority}
              options={["", ...PRIORITIES]}
              onChange={setPriority}
            />
            <Choice label="Node" value={node} options={["", ...nodes]} onChange={setNode} />
          </FilterBar>
          {builds.length === 0 ? (
            <NothingNow title="Nothing runs or waits">
              <Command line="buildnet queue add" />
            </NothingNow>
          ) : shown.length === 0 ? (
            <Empty title="No build matches the filters" />
          ) : (
            <QueueList shown={shown} queue={queue} onAsk={setAsked} />
          )}
        </div>
      </div>
      <output className="unseen" aria-live="polite">
        {queue.said}
      </output>
      {asked?.what === "cancel" && (
        <CancelDialog build={asked.build} onCancel={queue.cancel} onClose={close} />
      )}
      {asked?.what === "pause" && (
        <PauseDialog
          build={asked.build}
          onPause={(reason) => queue.pause(asked.build, reason)}
          onClose={close}
        />
      )}
      {asked?.what === "behind" && (
        <BehindDialog
          build={asked.build}
          builds={builds.filter((build) => queue.placesOf(asked.build).has(build.id))}
          onChoose={(other) => {
            const places = queue.placesOf(asked.build);
            queue.move(asked.build, placeBehind(asked.build.id, other.id, places));
          }}
          onClose={close}
        />
      )}
    </>
  );
}

import { SortableKeyboardPlugin } from "@dnd-kit/dom/sortable";
import { useSortable } from "@dnd-kit/react/sortable";
import {
  ArrowDown,
  ArrowUp,
  ArrowUpToLine,
  CirclePause,
  CirclePlay,
  GripVertical,
  ListEnd,
  type LucideIcon,
  X,
} from "lucide-react";
import { Link } from "wouter";
import { Age, useNow } from "@/components/age";
import { Badge, StatusBadge } from "@/components/badge";
import { ProblemView } from "@/components/problem-view";
import { Who } from "@/components/who";
import { duration, shortId } from "@/format/format";
import { whoText } from "@/format/who";
import {
  endInWords,
  type Places,
  PRIORITIES,
  type Priority,
  type QueuedBuild,
  startInWords,
  stateInWords,
} from "@/views/queue/queue-order";
import type { QueueState, Refusal } from "@/views/queue/use-queue";

export type Asks =
  | { what: "cancel"; build: QueuedBuild }
  | { what: "behind"; build: QueuedBuild }
  | { what: "pause"; build: QueuedBuild };

/** Without dnd-kit's own sorting, which puts elements in order behind React's back: a row that came
 * from the node meanwhile then stood where its number does not. */
const ROW_PLUGINS = [SortableKeyboardPlugin];

/** One build of the queue, with all that can be done with it. */
export function QueueRow({
  build,
  index,
  up,
  down,
  places,
  may,
  refusal,
  queue,
  onAsk,
}: {
  build: QueuedBuild;
  index: number;
  /** The next place above and below; null: there is none. */
  up: number | null;
  down: number | null;
  /** Where it can be moved to. */
  places: Places;
  may: boolean;
  refusal: Refusal | null;
  queue: QueueState;
  onAsk: (asked: Asks) => void;
}) {
  const { ref, handleRef, isDragging } = useSortable({
    id: build.id,
    index,
    disabled: !may,
    data: { workspace: build.workspace },
    plugins: ROW_PLUGINS,
  });
  const name = `the build of ${build.workspace}`;
  const id = `(${shortId(build.id)})`; // others may be of the same workspace
  const [front] = places.values();
  const whyNot = may ? undefined : `It is ${whoText(build.actor)}'s: you may not change it`;
  return (
    <li ref={ref} className={isDragging ? "queue-row dragged" : "queue-row"} data-build={build.id}>
      <button
        type="button"
        ref={handleRef}
        className="button plain icon queue-handle"
        aria-label={`Move ${name}, number ${index + 1} ${id}`}
        title={whyNot}
        disabled={!may}
      >
        <GripVertical aria-hidden size={18} />
      </button>
      <span className="queue-place" title="Place in the whole queue">
        {build.place}
      </span>
      <div className="queue-what">
        <div className="row">
          <Link href={`/ui/builds/${build.id}`} className="queue-name">
            {build.workspace}
          </Link>
          <code className="soft small" title={build.id}>
            {shortId(build.id)}
          </code>
        </div>
        <span className="soft small">
          <Who actor={build.actor} /> on {build.node}
          {build.this_node && " (this node)"}, asked <Age at={build.asked_at * 1_000} />
        </span>
      </div>
      <div className="queue-state">
        <div className="row">
          <StatusBadge status={build.state} />
          {build.moved && <Badge>moved</Badge>}
        </div>
        <span className="soft small">{stateInWords(build)}</span>
      </div>
      <Times build={build} />
      <div className="queue-acts">
        <select
          className="input"
          aria-label={`Priority of ${name} ${id}`}
          value={build.priority}
          title={whyNot}
          disabled={!may}
          onChange={(event) => queue.prioritise(build, event.target.value as Priority)}
        >
          {PRIORITIES.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
        {may && (
          <div className="queue-buttons">
            <Act
              label={`Move ${name} up ${id}`}
              icon={ArrowUp}
              off={up === null}
              act={() => up !== null && queue.move(build, up)}
            />
            <Act
              label={`Move ${name} down ${id}`}
              icon={ArrowDown}
              off={down === null}
              act={() => down !== null && queue.move(build, down)}
            />
            <Act
              label={`Move ${name} to the front ${id}`}
              icon={ArrowUpToLine}
              off={places.get(build.id) === front}
              act={() => front !== undefined && queue.move(build, front)}
            />
            <Act
              label={`Put ${name} behind another ${id}`}
              icon={ListEnd}
              off={places.size < 2}
              act={() => onAsk({ what: "behind", build })}
            />
            {build.paused ? (
              <Act
                label={`Resume ${name} ${id}`}
                icon={CirclePlay}
                act={() => queue.resume(build)}
              />
            ) : (
              <Act
                label={`Pause ${name} ${id}`}
                icon={CirclePause}
                act={() => onAsk({ what: "pause", build })}
              />
            )}
            <Act
              label={`Cancel ${name} ${id}`}
              icon={X}
              act={() => onAsk({ what: "cancel", build })}
            />
          </div>
        )}
      </div>
      {refusal !== null && (
        <div className="queue-refusal">
          <ProblemView problem={refusal.problem} command={refusal.command}>
            <button type="button" className="button" onClick={queue.dismiss}>
              Understood
            </button>
          </ProblemView>
        </div>
      )}
    </li>
  );
}

/** When it begins and ends, counted down. */
function Times({ build }: { build: QueuedBuild }) {
  const now = useNow();
  return (
    <dl className="queue-times small">
      {build.state !== "running" && (
        <>
          <dt>Starts</dt>
          <dd>{startInWords(build, now, duration)}</dd>
        </>
      )}
      <dt>Ends</dt>
      <dd>{endInWords(build, now, duration)}</dd>
    </dl>
  );
}

function Act({
  label,
  icon: Icon,
  off = false,
  act,
}: {
  label: string;
  icon: LucideIcon;
  off?: boolean;
  act: () => void;
}) {
  return (
    <button
      type="button"
      className="button plain icon"
      aria-label={label}
      title={label}
      disabled={off}
      onClick={act}
    >
      <Icon aria-hidden size={17} />
    </button>
  );
}

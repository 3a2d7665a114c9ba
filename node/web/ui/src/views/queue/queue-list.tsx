import type { Draggable, Droppable } from "@dnd-kit/dom";
import { isSortable } from "@dnd-kit/react/sortable";
import { useState } from "react";
import { useSession } from "@/api/session";
import { Dragging, type Spoken } from "@/components/dragging";
import { arranged, placeAt, placeBeside, type QueuedBuild } from "@/views/queue/queue-order";
import { type Asks, QueueRow } from "@/views/queue/queue-row";
import { mayChange, reachWords } from "@/views/queue/reach";
import type { QueueState } from "@/views/queue/use-queue";

const SPOKEN: Spoken = {
  instructions:
    "To move this build, press space, then the arrow keys up and down; space puts it there, escape leaves it where it was.",
  picked: (source) => `${nameOf(source)} is picked up.`,
  over: (source, target) =>
    target && isSortable(target) ? `${nameOf(source)} would be number ${target.index + 1}.` : "",
  dropped: (source) => `${nameOf(source)} is dropped as number ${shownAt(source)}.`,
  cancelled: (source) => `${nameOf(source)} stays where it was.`,
};

function nameOf(source: Draggable | Droppable): string {
  return `The build of ${String(source.data.workspace)}`;
}

function shownAt(source: Draggable): number | string {
  return isSortable(source) ? source.index + 1 : "unknown";
}

/** The order of rows when somebody picked one up, and where it is over now. */
interface Held {
  start: readonly string[];
  now: readonly string[];
}

/** The order with one put where another stands. */
function put(order: readonly string[], id: string, other: string): readonly string[] {
  const to = order.indexOf(other);
  if (to < 0 || !order.includes(id)) return order;
  const left = order.filter((each) => each !== id);
  return [...left.slice(0, to), id, ...left.slice(to)];
}

/** The builds that the filters leave, to be put in another order. */
export function QueueList({
  shown,
  queue,
  onAsk,
}: {
  shown: readonly QueuedBuild[];
  queue: QueueState;
  onAsk: (asked: Asks) => void;
}) {
  const session = useSession().data;
  // While somebody drags, nothing but that changes its place under their hand.
  const [held, setHeld] = useState<Held | null>(null);
  const rows = held === null ? shown : arranged(shown, held.now);

  const words = session === undefined ? null : reachWords(session);

  return (
    <Dragging
      spoken={SPOKEN}
      onDragStart={() => {
        const order = shown.map((build) => build.id);
        setHeld({ start: order, now: order });
      }}
      onDragOver={({ operation: { source, target } }) => {
        if (source === null || target === null || source.id === target.id) return;
        setHeld(
          (now) => now && { ...now, now: put(now.now, String(source.id), String(target.id)) },
        );
      }}
      onDragEnd={({ canceled, operation: { source } }) => {
        setHeld(null);
        if (canceled || held === null || source === null) return;
        const before = arranged(shown, held.start);
        const build = before.find((each) => each.id === source.id);
        if (build === undefined) return;
        const to = rows.findIndex((each) => each.id === build.id);
        const place = placeAt(before, build.id, to, queue.placesOf(build));
        if (place !== null) queue.move(build, place);
      }}
    >
      {words !== null && <p className="soft small queue-reach">{words}</p>}
      <ol className="queue" aria-label="Builds, who comes next first">
        {rows.map((build, index) => {
          const places = queue.placesOf(build);
          return (
            <QueueRow
              key={build.id}
              build={build}
              index={index}
              up={placeBeside(rows, index, -1, places)}
              down={placeBeside(rows, index, 1, places)}
              places={places}
              may={session !== undefined && mayChange(build, session)}
              refusal={queue.refusal?.build === build.id ? queue.refusal : null}
              queue={queue}
              onAsk={onAsk}
            />
          );
        })}
      </ol>
    </Dragging>
  );
}

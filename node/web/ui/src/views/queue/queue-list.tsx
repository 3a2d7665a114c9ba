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
  over: (source, target) => (target ? `${nameOf(source)} would be number ${shownAt(source)}.` : ""),
  dropped: (source) => `${nameOf(source)} is dropped as number ${shownAt(source)}.`,
  cancelled: (source) => `${nameOf(source)} stays where it was.`,
};

function nameOf(source: Draggable | Droppable): string {
  return `The build of ${String(source.data.workspace)}`;
}

function shownAt(source: Draggable): number | string {
  return isSortable(source) ? source.index + 1 : "unknown";
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
  // While somebody drags, nothing changes its place under their hand.
  const [held, setHeld] = useState<readonly string[] | null>(null);
  const rows = held === null ? shown : arranged(shown, held);

  const words = session === undefined ? null : reachWords(session);

  return (
    <Dragging
      spoken={SPOKEN}
      onDragStart={() => setHeld(shown.map((build) => build.id))}
      onDragEnd={({ canceled, operation: { source } }) => {
        setHeld(null);
        if (canceled || !isSortable(source)) return;
        const build = rows.find((each) => each.id === source.id);
        if (build === undefined) return;
        const place = placeAt(rows, build.id, source.index, queue.placesOf(build));
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

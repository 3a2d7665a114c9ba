import { useState } from "react";
import { useSession } from "@/api/session";
import { ConfirmByName, FormDialog } from "@/components/dialog";
import { Who } from "@/components/who";
import { shortId } from "@/format/format";
import { whoText } from "@/format/who";
import type { QueuedBuild } from "@/views/queue/queue-order";

export function CancelDialog({
  build,
  onCancel,
  onClose,
}: {
  build: QueuedBuild;
  onCancel: (build: QueuedBuild) => void;
  onClose: () => void;
}) {
  const self = useSession().data?.actor;
  return (
    <ConfirmByName
      title={`Cancel the build of ${build.workspace} (${shortId(build.id)})?`}
      name={build.workspace}
      isOwn={build.actor === self}
      verb="Cancel the build"
      command={`buildnet queue cancel ${shortId(build.id)}`}
      act={async () => onCancel(build)}
      onClose={onClose}
    >
      <p>
        <Who actor={build.actor} /> asked for it on {build.node}. What runs of it is ended; what is
        done stays in the cache. It goes on for others who asked for the same, unless you may end it
        for all.
      </p>
    </ConfirmByName>
  );
}

/** `build` null: the queue as a whole. */
export function PauseDialog({
  build,
  onPause,
  onClose,
}: {
  build: QueuedBuild | null;
  onPause: (reason: string) => void;
  onClose: () => void;
}) {
  const [reason, setReason] = useState("");
  return (
    <FormDialog
      title={
        build ? `Pause the build of ${build.workspace} (${shortId(build.id)})` : "Pause the queue"
      }
      verb="Pause"
      command={`buildnet queue pause${build ? ` ${shortId(build.id)}` : ""}`}
      act={async () => onPause(reason.trim())}
      onClose={onClose}
    >
      <p>
        {build ? "It starts no command any more" : "No build starts a command any more"}, on no
        host. What runs comes to its end, and its result counts.
      </p>
      <label className="field">
        <span>Why (others see it; may stay empty)</span>
        <input
          className="input"
          maxLength={1000}
          value={reason}
          onChange={(event) => setReason(event.target.value)}
        />
      </label>
    </FormDialog>
  );
}

export function BehindDialog({
  build,
  builds,
  onChoose,
  onClose,
}: {
  build: QueuedBuild;
  builds: readonly QueuedBuild[];
  onChoose: (other: QueuedBuild) => void;
  onClose: () => void;
}) {
  const others = builds.filter((each) => each.id !== build.id);
  const [chosen, setChosen] = useState(others.at(-1)?.id ?? "");
  const other = others.find((each) => each.id === chosen);
  return (
    <FormDialog
      title={`Put the build of ${build.workspace} (${shortId(build.id)}) behind…`}
      verb="Move"
      ready={other !== undefined}
      act={async () => other && onChoose(other)}
      onClose={onClose}
    >
      <label className="field">
        <span>Behind which build</span>
        <select
          className="input"
          value={chosen}
          onChange={(event) => setChosen(event.target.value)}
        >
          {others.map((each) => (
            <option key={each.id} value={each.id}>
              {each.place}. {each.workspace}, by {whoText(each.actor)} ({shortId(each.id)})
            </option>
          ))}
        </select>
      </label>
    </FormDialog>
  );
}

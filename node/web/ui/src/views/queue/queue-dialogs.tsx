import { type ReactNode, useState } from "react";
import { Command } from "@/components/command";
import { Dialog } from "@/components/dialog";
import { shortId } from "@/format/format";
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
  return (
    <Asking
      title={`Cancel the build of ${build.workspace}?`}
      verb="Cancel the build"
      danger
      onClose={onClose}
      onYes={() => onCancel(build)}
      command={`buildnet queue cancel ${shortId(build.id)}`}
    >
      <p>
        {build.actor} asked for it on {build.node}. What runs of it is ended; what is done stays in
        the cache. It goes on for others who asked for the same, unless you may end it for all.
      </p>
    </Asking>
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
    <Asking
      title={build ? `Pause the build of ${build.workspace}` : "Pause the queue"}
      verb="Pause"
      onClose={onClose}
      onYes={() => onPause(reason.trim())}
      command={`buildnet queue pause${build ? ` ${shortId(build.id)}` : ""}`}
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
    </Asking>
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
    <Asking
      title={`Put the build of ${build.workspace} behind…`}
      verb="Move"
      disabled={other === undefined}
      onClose={onClose}
      onYes={() => other && onChoose(other)}
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
              {each.place}. {each.workspace}, by {each.actor} ({shortId(each.id)})
            </option>
          ))}
        </select>
      </label>
    </Asking>
  );
}

function Asking({
  title,
  verb,
  danger = false,
  disabled = false,
  command,
  onYes,
  onClose,
  children,
}: {
  title: string;
  verb: string;
  danger?: boolean;
  disabled?: boolean;
  command?: string;
  onYes: () => void;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          onYes();
          onClose();
        }}
      >
        {children}
        {command && <Command line={command} />}
        <div className="row dialog-ends">
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
          <button
            type="submit"
            className={danger ? "button danger" : "button primary"}
            disabled={disabled}
          >
            {verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

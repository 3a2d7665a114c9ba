import { Ban, Download, GitCompare, RotateCcw, TrendingUp } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { api } from "@/api/client";
import { useMay, useSession } from "@/api/session";
import { ConfirmByName } from "@/components/dialog";
import { useToasts } from "@/components/toasts";
import { shortId } from "@/format/format";
import { again, useStart } from "@/views/builds/start";
import type { ShownBuild } from "@/views/builds/use-build";

/** What can be done with a build: end it, ask for it again, look at it otherwise. */
export function BuildActions({ build }: { build: ShownBuild }) {
  const [cancelling, setCancelling] = useState(false);
  const mayCancel = useMay("cancel-build");
  const mayBuild = useMay("trigger-build");
  const start = useStart();
  const self = useSession().data?.actor;
  const toasts = useToasts();
  const said = build.told ?? build.live.begun;
  const failed = new Set(
    build.tasks
      .filter((task) => ["failed", "skipped", "cancelled"].includes(task.state))
      .map((task) => task.name),
  );
  failed.delete("dependencies");
  const cancel = async () => {
    const { data } = await api.POST("/api/build/{build_id}/cancel", {
      params: { path: { build_id: build.id } },
    });
    toasts.done(
      data?.goes_on
        ? "You want it no more; it goes on for others that asked for the same"
        : "It is being cancelled",
    );
  };
  return (
    <>
      {build.running && mayCancel && (
        <button type="button" className="button danger" onClick={() => setCancelling(true)}>
          <Ban aria-hidden size={16} />
          Cancel…
        </button>
      )}
      {!build.running && mayBuild && said?.request && !build.told?.recorded_on && (
        <>
          <button
            type="button"
            className="button"
            onClick={() => start(again(said.root, said.request))}
          >
            <RotateCcw aria-hidden size={16} />
            Run again
          </button>
          {failed.size > 0 && (
            <button
              type="button"
              className="button"
              onClick={() => start(again(said.root, said.request, [...failed]))}
            >
              <RotateCcw aria-hidden size={16} />
              Only the {failed.size} not done
            </button>
          )}
        </>
      )}
      {build.told !== null && !build.running && (
        <a
          className="button"
          href={`/api/build/${build.id}/trace`}
          download={`build-${build.id}.trace.json`}
        >
          <Download aria-hidden size={16} />
          Trace
        </a>
      )}
      {!build.running && (
        <Link className="button" href={`/ui/builds/compare?b=${build.id}`}>
          <GitCompare aria-hidden size={16} />
          Compare…
        </Link>
      )}
      {said && (
        <Link
          className="button"
          href={`/ui/builds/trends?workspace=${encodeURIComponent(said.workspace)}`}
        >
          <TrendingUp aria-hidden size={16} />
          Trends
        </Link>
      )}
      {cancelling && (
        <ConfirmByName
          title={`Cancel build ${shortId(build.id)} of ${said?.workspace ?? "a workspace"}`}
          isOwn={said !== null && said?.triggered_by === self}
          name={said?.workspace ?? build.id}
          verb="Cancel the build"
          command={`buildnet queue cancel ${build.id}`}
          act={cancel}
          onClose={() => setCancelling(false)}
        >
          What runs is ended; what is done stays in the cache. Where others asked for the same, it
          goes on for them, unless you are an admin.
        </ConfirmByName>
      )}
    </>
  );
}

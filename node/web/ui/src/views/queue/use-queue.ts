import { useEffect, useMemo, useState } from "react";
import { api } from "@/api/client";
import { Problem } from "@/api/problem";
import { shortId } from "@/format/format";
import { useFeed, useItems } from "@/live/use-live";
import {
  arranged,
  buildsOf,
  headOf,
  isInOrder,
  type Priority,
  type QueuedBuild,
  type QueueHead,
} from "@/views/queue/queue-order";

/** What was asked of the queue and refused: about which build, and how the terminal asks for it. */
export interface Refusal {
  build: string | null;
  problem: Problem;
  command: string;
}

export interface QueueState {
  head: QueueHead | null;
  /** In the order that somebody just dragged them to, until the node tells it. */
  builds: readonly QueuedBuild[];
  refusal: Refusal | null;
  /** What has to be read out: a change that was done, or that was refused. */
  said: string;
  move: (build: QueuedBuild, place: number, order: readonly string[]) => void;
  prioritise: (build: QueuedBuild, priority: Priority) => void;
  pause: (build: QueuedBuild | null, reason: string) => void;
  resume: (build: QueuedBuild | null) => void;
  cancel: (build: QueuedBuild) => void;
  dismiss: () => void;
}

const BELIEVED_MS = 4_000;

/** The queue, live, and what can be asked of it. */
export function useQueue(): QueueState {
  const items = useItems("queue");
  const feed = useFeed();
  const told = useMemo(() => buildsOf(items, feed.toldAt), [items, feed]);
  const [order, setOrder] = useState<readonly string[] | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [said, setSaid] = useState("");
  // The node tells what it made of it; what it told meanwhile counts after some seconds anyway.
  if (order !== null && isInOrder(told, order)) setOrder(null);
  useEffect(() => {
    if (order === null) return;
    const timer = setTimeout(() => setOrder(null), BELIEVED_MS);
    return () => clearTimeout(timer);
  }, [order]);

  const ask = async (
    build: QueuedBuild | null,
    command: string,
    done: string,
    request: () => Promise<unknown>,
  ) => {
    setRefusal(null);
    try {
      await request();
      setSaid(done);
    } catch (thrown) {
      const problem = Problem.from(thrown);
      setOrder(null);
      setRefusal({ build: build?.id ?? null, problem, command: `buildnet queue ${command}` });
      setSaid(`Refused: ${problem.message}`);
    }
  };
  const path = (build: QueuedBuild) => ({ path: { build_id: build.id } });

  return {
    head: headOf(items),
    builds: arranged(told, order),
    refusal,
    said,
    dismiss: () => setRefusal(null),
    move: (build, place, wanted) => {
      setOrder(wanted);
      void ask(build, `move ${shortId(build.id)} ${place}`, `Now at place ${place}`, () =>
        api.POST("/api/queue/{build_id}/move", { params: path(build), body: body({ place }) }),
      );
    },
    prioritise: (build, priority) =>
      void ask(build, `priority ${shortId(build.id)} ${priority}`, `Priority ${priority}`, () =>
        api.POST("/api/queue/{build_id}/priority", {
          params: path(build),
          body: body({ priority }),
        }),
      ),
    pause: (build, reason) =>
      void ask(build, `pause${build ? ` ${shortId(build.id)}` : ""}`, "Paused", () =>
        build
          ? api.POST("/api/queue/{build_id}/pause", { params: path(build), body: body({ reason }) })
          : api.POST("/api/queue/pause", { body: body({ reason }) }),
      ),
    resume: (build) =>
      void ask(build, `resume${build ? ` ${shortId(build.id)}` : ""}`, "Goes on", () =>
        build
          ? api.POST("/api/queue/{build_id}/resume", { params: path(build), body: body({}) })
          : api.POST("/api/queue/resume", { body: body({}) }),
      ),
    cancel: (build) =>
      void ask(build, `cancel ${shortId(build.id)}`, "Cancelled", () =>
        api.POST("/api/queue/{build_id}/cancel", { params: path(build), body: body({}) }),
      ),
  };
}

/** Who asks is known by the session; the API's default for the rest. */
function body<More extends object>(more: More): More & { actor: string; reason: string } {
  return { actor: "local", reason: "", ...more };
}

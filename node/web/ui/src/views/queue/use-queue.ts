import { useEffect, useMemo, useState } from "react";
import { api } from "@/api/client";
import { Problem } from "@/api/problem";
import { useSession } from "@/api/session";
import { shortId } from "@/format/format";
import { useFeed, useItems } from "@/live/use-live";
import {
  arranged,
  buildsOf,
  headOf,
  movedTo,
  type Places,
  type Priority,
  placesFor,
  type QueuedBuild,
  type QueueHead,
} from "@/views/queue/queue-order";
import { isAdmin, mayChange } from "@/views/queue/reach";

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
  /** Where a build can be moved to by who is logged in. */
  placesOf: (build: QueuedBuild) => Places;
  move: (build: QueuedBuild, place: number) => void;
  prioritise: (build: QueuedBuild, priority: Priority) => void;
  pause: (build: QueuedBuild | null, reason: string) => void;
  resume: (build: QueuedBuild | null) => void;
  cancel: (build: QueuedBuild) => void;
  dismiss: () => void;
}

/** A move that the node agreed to is shown so long until the node tells the order. */
const BELIEVED_MS = 2_000;

/** The order that somebody asked for, and what the node told before: another word of it counts. */
interface Wanted {
  order: readonly string[];
  before: string;
  isAnswered: boolean;
}

/** The queue, live, and what can be asked of it. */
export function useQueue(): QueueState {
  const items = useItems("queue");
  const feed = useFeed();
  const told = useMemo(() => buildsOf(items, feed.toldAt), [items, feed]);
  const [wanted, setWanted] = useState<Wanted | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [said, setSaid] = useState("");
  const standing = told.map((build) => build.id).join();
  if (wanted !== null && wanted.before !== standing) setWanted(null);
  useEffect(() => {
    if (wanted === null || !wanted.isAnswered) return;
    const timer = setTimeout(() => setWanted(null), BELIEVED_MS);
    return () => clearTimeout(timer);
  }, [wanted]);
  const builds = useMemo(() => arranged(told, wanted?.order ?? null), [told, wanted]);
  const session = useSession().data;
  const placesOf = useMemo(() => {
    const known = new Map<string, Places>();
    return (build: QueuedBuild): Places => {
      if (session === undefined) return new Map();
      const whose = isAdmin(session) ? "" : build.actor;
      const places =
        known.get(whose) ??
        placesFor(build, builds, (each) => mayChange(each, session), isAdmin(session));
      known.set(whose, places);
      return places;
    };
  }, [builds, session]);

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
      setWanted(null);
      setRefusal({ build: build?.id ?? null, problem, command: `buildnet queue ${command}` });
      setSaid(`Refused: ${problem.message}`);
    }
  };
  const path = (build: QueuedBuild) => ({ path: { build_id: build.id } });

  return {
    head: headOf(items),
    builds,
    refusal,
    said,
    dismiss: () => setRefusal(null),
    placesOf,
    move: (build, place) => {
      const asked = {
        order: movedTo(builds, build.id, place, placesOf(build)),
        before: standing,
        isAnswered: false,
      };
      setWanted(asked);
      void ask(build, `move ${shortId(build.id)} ${place}`, `Now at place ${place}`, async () => {
        await api.POST("/api/queue/{build_id}/move", {
          params: path(build),
          body: body({ place }),
        });
        setWanted((now) => (now === asked ? { ...asked, isAnswered: true } : now));
      });
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

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, type Known, query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Choice } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { ProblemView } from "@/components/problem-view";
import { duration, percent, plural } from "@/format/format";
import { unkept } from "@/views/builder/calls";
import type { Draft } from "@/views/builder/draft";
import { isRefused } from "@/views/builder/faults";
import type { Checked } from "@/views/builder/use-pool";
import { bodyOf } from "@/views/builds/start";

/** The workspaces of the asked node that can be built: pairs for a choice. */
export function useWorkspaces() {
  const may = useMay("trigger-build");
  const found = query.useQuery("get", "/api/workspaces", {}, { staleTime: 30_000, enabled: may });
  const known = (found.data?.workspaces ?? []).filter((each) => each.problem === null);
  const twice = (name: string | null) => known.filter((each) => each.name === name).length > 1;
  const options = known.map(
    ({ root, name }) =>
      [root, name === null || twice(name) ? root : name] as readonly [string, string],
  );
  return { options, asked: found, may };
}

/** The profiles that a build may go by: pairs for a choice. */
export function useProfiles(): readonly (readonly [string, string])[] {
  const found = query.useQuery("get", "/api/profiles", {}, { staleTime: 30_000 });
  const known = (found.data?.profiles ?? []).filter((each) => each.problem === null);
  return [["", "the usual one"], ...known.map(({ id, name }) => [id, name ?? id] as const)];
}

/** What a build would be of, beside the draft: it stands in the address. */
export interface Target {
  /** The workspace's directory; empty: none is chosen. */
  root: string;
  /** Empty: the one that builds go by that name none. */
  profile: string;
  onRoot: (root: string) => void;
  onProfile: (profile: string) => void;
}

/** How long a build of a workspace would take with the draft as it is. */
export function Estimate({
  draft,
  checked,
  target: { root, profile, onRoot, onProfile },
  standing,
}: {
  draft: Draft;
  /** What the node found of it: it is asked for an estimate only of what it takes. */
  checked: Checked | null;
  target: Target;
  /** Changes with the nodes that can be given work. */
  standing: string;
}) {
  const { options, asked: workspaces, may } = useWorkspaces();
  const profiles = useProfiles();
  const asked = checked?.draft ?? draft;
  const refused = checked !== null && isRefused(checked.faults);
  const configuration = unkept(asked);
  const found = useQuery({
    queryKey: ["estimated", root, profile, configuration, standing],
    enabled: root !== "" && checked !== null && !refused,
    retry: false,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const { data } = await api.POST("/api/build/estimate", {
        body: bodyOf(root, {
          configuration,
          detail: "changed",
          ...(profile !== "" && { profile }),
        }),
        signal,
      });
      if (data === undefined) throw new Error("the node says nothing");
      return data as unknown as Known<Schema["BuildEstimate"]>;
    },
  });
  const waits = checked?.draft !== draft || found.isFetching;
  const shown = root !== "" && !refused;
  return (
    <section className="stack tight" aria-label="Estimate">
      <h3>Estimated build time</h3>
      {!may ? (
        <p className="soft small">Who may build is told how long one would take.</p>
      ) : workspaces.data === undefined ? (
        <NotAnswered asked={workspaces} command="buildnet build" />
      ) : options.length === 0 ? (
        <p className="soft small">
          No workspace can be built over the network here. Whoever owns the host builds one there
          once: <code>buildnet build</code>
        </p>
      ) : (
        <>
          <NotAnswered asked={workspaces} command="buildnet build" />
          <Choice
            label="Workspace"
            value={root}
            options={[["", "choose one"], ...options]}
            onChange={onRoot}
          />
          <Choice label="Profile" value={profile} options={profiles} onChange={onProfile} />
        </>
      )}
      {root !== "" && refused && (
        <p className="small">
          <strong>unknown</strong>: no build would be taken with it; why stands at the pieces.
        </p>
      )}
      {shown && found.error !== null && !waits && <ProblemView problem={found.error} />}
      {shown && found.data !== undefined && found.error === null && (
        <div className={waits ? "estimate waits" : "estimate"} aria-busy={waits}>
          <Result estimate={found.data} />
        </div>
      )}
      {shown && found.data === undefined && waits && (
        <p className="soft small" role="status">
          The node looks at the workspace…
        </p>
      )}
    </section>
  );
}

function Result({ estimate }: { estimate: Known<Schema["BuildEstimate"]> }) {
  const { estimated_ms, interval_ms, packages, unchanged, problems } = estimate;
  if (packages.length === 0 && problems.length === 0) {
    return <p>Nothing is to be built: {plural(unchanged, "task")} stand as they are.</p>;
  }
  return (
    <>
      <p className="estimate-figure">
        {estimated_ms === null ? "unknown" : duration(estimated_ms)}
      </p>
      {estimated_ms === null ? (
        <p className="soft small">Nothing of this workspace ever ran here.</p>
      ) : (
        <dl className="facts small">
          {interval_ms && (
            <>
              <dt>Four of five end in</dt>
              <dd>
                {duration(interval_ms[0])} to {duration(interval_ms[1])}
              </dd>
            </>
          )}
          <dt>Confidence</dt>
          <dd>
            {estimate.confidence > 0
              ? `${estimate.confidence_level} (${percent(estimate.confidence, 1)})`
              : "low: nothing was measured yet"}
          </dd>
          <dt>One after another</dt>
          <dd>{duration(estimate.work_ms)}</dd>
          <dt>Longest chain</dt>
          <dd>{duration(estimate.critical_path_ms)}</dd>
        </dl>
      )}
      <p className="soft small">
        {plural(packages.length, "task")} to do
        {unchanged > 0 && `, ${plural(unchanged, "task")} stand as they are`}
      </p>
      {problems.map((each) => (
        <p key={`${each.name} ${each.task}`} className="small">
          <strong>
            {each.name} {each.task}
          </strong>{" "}
          would fail: {each.message}
        </p>
      ))}
    </>
  );
}

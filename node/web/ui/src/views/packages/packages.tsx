import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { ActionButton } from "@/components/action-button";
import { Command } from "@/components/command";
import { Choice } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { PackageGraph } from "@/components/package-graph/package-graph";
import type { GraphPackage } from "@/components/package-graph/shape";
import { Empty, Loading } from "@/components/states";
import { useFilter } from "@/components/url-state";
import { plural } from "@/format/format";
import { ViewHead } from "@/layout/frame";
import { workspaceChoices } from "@/pool/workspaces";
import { PackageDetail } from "@/views/packages/package-detail";
import { PackageList } from "@/views/packages/package-list";
import "@/views/builds/builds.css";
import "@/views/packages/packages.css";
import { quoted } from "@/format/shell";

/** The packages of a workspace that can be built on this node. */
export default function Packages() {
  const known = query.useQuery("get", "/api/workspaces", {});
  const [root, setRoot] = useFilter("root");
  const [view, setView] = useFilter("view");
  const workspaces = (known.data?.workspaces ?? []) as Schema["KnownWorkspace"][];
  const chosen = workspaces.find((one) => one.root === root) ?? workspaces[0];
  return (
    <>
      <ViewHead title="Packages">
        {chosen !== undefined && (
          <>
            <Choice
              label="Workspace"
              value={chosen.root}
              options={workspaceChoices(workspaces)}
              onChange={setRoot}
            />
            <Choice
              label="Shown as"
              value={view}
              options={[
                ["", "drawing"],
                ["table", "table"],
              ]}
              onChange={setView}
            />
          </>
        )}
      </ViewHead>
      <NotAnswered asked={known} command="buildnet build" />
      {known.data === undefined ? (
        known.error === null && <Loading what="the workspaces of this node" />
      ) : chosen === undefined ? (
        <Empty title="No workspace of this node's host is known yet">
          <p>Build one there once, or name it in access.workspaces of node.yaml.</p>
          <Command line="buildnet build" />
        </Empty>
      ) : chosen.problem_kind === "gone" ? (
        <Gone root={chosen.root} />
      ) : chosen.problem !== null ? (
        <div className="notice bad" role="alert">
          <strong>{chosen.root} can't be read</strong>
          <p>{chosen.problem}</p>
          <Command line={`buildnet build --dry-run -C ${quoted(chosen.root)}`} />
        </div>
      ) : (
        <Workspace key={chosen.root} root={chosen.root} isTable={view === "table"} />
      )}
    </>
  );
}

/** A workspace whose directory is not there any more: nothing that is run in it helps. */
function Gone({ root }: { root: string }) {
  const isOwner = useMay("own-node");
  const client = useQueryClient();
  const forget = async () => {
    await api.DELETE("/api/workspaces", { params: { query: { root } } });
    await client.invalidateQueries({ queryKey: ["get", "/api/workspaces"] });
  };
  return (
    <div className="notice warn" role="alert">
      <strong>{root} is gone</strong>
      <p>
        It was built there before, and the directory is not there any more. If it was moved, build
        it once where it is now; if it is on a volume, mount that.
      </p>
      <Command line="buildnet build" />
      {isOwner ? (
        <div className="row">
          <ActionButton act={forget} done={`${root} is forgotten`}>
            Forget it
          </ActionButton>
        </div>
      ) : (
        <p className="soft">The owner of this host can take it off the list.</p>
      )}
    </div>
  );
}

function Workspace({ root, isTable }: { root: string; isTable: boolean }) {
  const found = query.useQuery("post", "/api/workspace", { body: { root } });
  const [selected, select] = useFilter("package");
  const workspace = found.data as Schema["Workspace"] | undefined;
  const packages = useMemo<GraphPackage[]>(
    () =>
      (workspace?.packages ?? []).map((one) => ({
        id: one.name,
        state: "idle",
        path: one.path,
        needs: one.dependencies,
      })),
    [workspace],
  );
  const problem = <NotAnswered asked={found} />;
  if (workspace === undefined) {
    return found.error ? problem : <Loading what="the workspace" lines={6} />;
  }
  const detail = (name: string, close: () => void) => (
    <PackageDetail workspace={workspace} name={name} onClose={close} />
  );
  return (
    <div className="stack tight packages">
      {problem}
      <p className="soft">
        {plural(packages.length, "package")},{" "}
        {workspace.file === null ? "as they were found" : `described in ${workspace.file}`}
        {workspace.install !== null && `, installed by ${workspace.install}`}
      </p>
      {workspace.notes.map((note) => (
        <div key={note} className="notice warn small">
          {note}
        </div>
      ))}
      {isTable ? (
        <>
          <PackageList workspace={workspace} onSelect={select} />
          {selected !== "" && (
            <aside className="card graph-panel" aria-label={`Package ${selected}`}>
              {detail(selected, () => select(""))}
            </aside>
          )}
        </>
      ) : (
        <PackageGraph
          packages={packages}
          name={`packages-${workspace.name}`}
          panel={detail}
          hasList={false}
        />
      )}
    </div>
  );
}

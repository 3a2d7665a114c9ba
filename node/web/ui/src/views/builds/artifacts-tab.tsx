import { Download } from "lucide-react";
import { api, query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { CopyButton } from "@/components/command";
import { FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { save } from "@/components/save";
import { Empty, Loading } from "@/components/states";
import { useToasts } from "@/components/toasts";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { bytes, plural } from "@/format/format";
import { keyOf } from "@/views/builds/tasks";
import type { ShownBuild } from "@/views/builds/use-build";

type Made = Schema["TaskArtifacts"];

/** The files that the tasks of a build made, and the papers that tell where they come from. */
export default function ArtifactsTab({ build }: { build: ShownBuild }) {
  const [text, setText] = useFilterInPlace("text");
  const [cursor, setCursor] = useFilter("cursor");
  const found = query.useQuery("get", "/api/build/{build_id}/artifacts", {
    params: {
      path: { build_id: build.id },
      query: {
        limit: 50,
        ...(cursor && { cursor }),
        ...(build.tasks.some((task) => task.name === text) && { package: text }),
      },
    },
  });
  const problem = <NotAnswered asked={found} command={`buildnet history ${build.id} --json`} />;
  if (found.data === undefined) {
    return found.error ? problem : <Loading what="what was made" />;
  }
  const wanted = text.trim().toLowerCase();
  const all = found.data.tasks as Made[];
  const tasks = all.filter((one) => one.name.toLowerCase().includes(wanted));
  if (all.length === 0) {
    return (
      <>
        {problem}
        <Empty title="No files">
          <p className="soft">Tasks that succeeded with a result of their own are listed here.</p>
        </Empty>
      </>
    );
  }
  return (
    <section className="stack tight" aria-label="Artifacts">
      {problem}
      <FilterBar
        noun="task"
        shown={tasks.length}
        total={found.data.next === null ? all.length : null}
      >
        <SearchBox label="Find a package" value={text} onChange={setText} />
      </FilterBar>
      {tasks.map((one) => (
        <Task key={keyOf(one.name, one.task)} made={one} build={build} />
      ))}
      <div className="row">
        {cursor !== "" && (
          <button type="button" className="button" onClick={() => setCursor("")}>
            To the first
          </button>
        )}
        {found.data.next !== null && (
          <button
            type="button"
            className="button"
            onClick={() => setCursor(found.data?.next ?? "")}
          >
            More tasks
          </button>
        )}
      </div>
    </section>
  );
}

/** Where a file of a task is had. */
function fileOf(build: string, made: Made, path: string): string {
  const query = new URLSearchParams({ package: made.name, task: made.task, path });
  return `/api/build/${encodeURIComponent(build)}/file?${query}`;
}

function Task({ made, build }: { made: Made; build: ShownBuild }) {
  const mayGet = useMay("trigger-build");
  return (
    <details className="card">
      <summary>
        <strong className="task-name" title={keyOf(made.name, made.task)}>
          {keyOf(made.name, made.task)}
        </strong>{" "}
        <span className="soft">
          {made.problem ?? `${plural(made.count ?? 0, "file")}, ${bytes(made.size_bytes)}`}
        </span>
      </summary>
      <div className="stack tight">
        <div className="row">
          <span className="soft small">
            result <code>{made.action.slice(0, 16)}</code>
          </span>
          <CopyButton text={made.action} label="Copy the result's digest" />
          <Provenance made={made} build={build} />
        </div>
        {made.files.length > 0 && (
          <div className="table-frame">
            <table className="table">
              <caption className="unseen">Files of {made.name}</caption>
              <thead>
                <tr>
                  <th scope="col">file</th>
                  <th scope="col" className="number">
                    size
                  </th>
                  <th scope="col">BLAKE3</th>
                </tr>
              </thead>
              <tbody>
                {made.files.map((file) => (
                  <tr key={file.path}>
                    <td className="mono">
                      {mayGet && file.digest !== null ? (
                        <a href={fileOf(build.id, made, file.path)} download>
                          {file.path}
                        </a>
                      ) : (
                        file.path
                      )}
                      {file.target !== null && <span className="soft"> → {file.target}</span>}
                      {file.executable && <span className="soft"> (executable)</span>}
                    </td>
                    <td className="number">
                      {file.target === null ? bytes(file.size_bytes) : "link"}
                    </td>
                    <td>
                      {file.digest !== null && (
                        <span className="row">
                          <code>{file.digest.slice(0, 16)}</code>
                          <CopyButton
                            text={file.digest}
                            label={`Copy the digest of ${file.path}`}
                          />
                        </span>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        {(made.count ?? 0) > made.files.length && (
          <p className="soft small">
            The first {made.files.length} of {made.count} files.
          </p>
        )}
      </div>
    </details>
  );
}

function Provenance({ made, build }: { made: Made; build: ShownBuild }) {
  const toasts = useToasts();
  const fetchIt = async () => {
    try {
      const { data } = await api.GET("/api/build/{build_id}/provenance", {
        params: { path: { build_id: build.id }, query: { package: [made.name], task: made.task } },
      });
      const statement = data?.statements[0];
      if (statement?.statement == null) {
        toasts.failed(new Error(statement?.why ?? "there is no statement of it"));
        return;
      }
      const text = JSON.stringify(statement.statement, null, 2);
      save(new Blob([text], { type: "application/json" }), statement.file ?? "provenance.json");
    } catch (problem) {
      toasts.failed(problem, `buildnet audit attest ${build.id}`);
    }
  };
  if (build.running) return null;
  return (
    <button type="button" className="button" onClick={fetchIt}>
      <Download aria-hidden size={16} />
      Provenance
    </button>
  );
}

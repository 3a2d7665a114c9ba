import { useEffect, useRef, useState } from "react";
import { api, query, type Schema } from "@/api/client";
import { Command } from "@/components/command";
import { Dialog } from "@/components/dialog";
import { Choice } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { ProblemView } from "@/components/problem-view";
import { Empty, Loading } from "@/components/states";
import { useFilter } from "@/components/url-state";
import { duration, plural } from "@/format/format";
import { workspaceChoices } from "@/pool/workspaces";
import { buildCommand } from "@/views/builds/commands";
import { EstimateWords } from "@/views/builds/estimate-words";
import { PackagePicker } from "@/views/builds/package-picker";
import { bodyOf, useBegin } from "@/views/builds/start";

type Estimate = Schema["BuildEstimate"];

/** What is to be built, what it would take, and the start. */
export function BuildDialog({ onClose }: { onClose: () => void }) {
  const known = query.useQuery("get", "/api/workspaces", {});
  const [root, setRoot] = useFilter("root");
  const workspaces = (known.data?.workspaces ?? []).filter((one) => one.problem === null);
  const chosen = workspaces.find((one) => one.root === root) ?? workspaces[0];
  return (
    <Dialog title="Build" onClose={onClose}>
      <NotAnswered asked={known} command="buildnet build" />
      {known.data === undefined ? (
        known.error === null && <Loading what="what can be built here" />
      ) : chosen === undefined ? (
        <Empty title="No workspace of this host can be built over the network yet">
          <p>Build it once on the host, or name it in access.workspaces of node.yaml.</p>
          <Command line="buildnet build" />
        </Empty>
      ) : (
        <>
          <Choice
            label="Workspace"
            value={chosen.root}
            options={workspaceChoices(workspaces)}
            onChange={setRoot}
          />
          <Form key={chosen.root} root={chosen.root} onClose={onClose} />
        </>
      )}
      {chosen === undefined && (
        <div className="row end">
          <button type="button" className="button" onClick={onClose}>
            Close
          </button>
        </div>
      )}
    </Dialog>
  );
}

function Form({ root, onClose }: { root: string; onClose: () => void }) {
  const workspace = query.useQuery("post", "/api/workspace", { body: { root } });
  const [packages, setPackages] = useState<ReadonlySet<string>>(new Set());
  const [task, setTask] = useState("build");
  const [config, setConfig] = useState("");
  const configs = query.useQuery("get", "/api/configs");
  const saved = (configs.data?.configs ?? []).filter((one) => one.problem === null);
  const [options, setOptions] = useState({ force: false, keep_going: false, dry_run: false });
  const [estimate, setEstimate] = useState<Estimate | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const [busy, setBusy] = useState<"estimating" | "starting" | null>(null);
  // What is told of another choice than the one that stands there now is told too late.
  const asked = useRef(0);
  const waiting = useRef(new AbortController());
  useEffect(() => () => waiting.current.abort(), []);
  const begin = useBegin();
  const unanswered = <NotAnswered asked={workspace} />;
  if (workspace.data === undefined) {
    return workspace.error ? unanswered : <Loading what="the workspace" />;
  }
  const tasks = [...new Set(workspace.data.packages.flatMap((one) => one.tasks))].sort();
  const body = bodyOf(root, {
    packages: [...packages],
    task,
    ...options,
    ...(config !== "" && { config_id: config }),
  });
  const command = buildCommand(
    { ...body, choice: config === "" ? null : { configuration: config } },
    root,
  );
  const change = (act: () => void) => {
    act();
    asked.current += 1;
    waiting.current.abort();
    setEstimate(null);
    setProblem(null);
  };
  const ask = async () => {
    const mine = asked.current;
    waiting.current = new AbortController();
    setBusy("estimating");
    setProblem(null);
    try {
      const { data } = await api.POST("/api/build/estimate", {
        body,
        signal: waiting.current.signal,
      });
      if (mine === asked.current) setEstimate((data as Estimate | undefined) ?? null);
    } catch (thrown) {
      if (mine === asked.current) setProblem(thrown);
    }
    setBusy(null);
  };
  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy("starting");
    setProblem(null);
    try {
      await begin(body);
    } catch (thrown) {
      // A window stands above the corner where views tell what went wrong.
      setProblem(thrown);
    }
    setBusy(null);
  };
  return (
    <form className="stack" onSubmit={submit}>
      {unanswered}
      <PackagePicker
        packages={workspace.data.packages.map((one) => one.name)}
        chosen={packages}
        onChange={(chosen) => change(() => setPackages(chosen))}
      />
      <div className="row">
        <Choice
          label="Task"
          value={task}
          options={tasks}
          onChange={(value) => change(() => setTask(value))}
        />
        <Choice
          label="Configuration"
          value={config}
          options={[
            ["", "what is in force"],
            ...saved.map((one) => [one.id, one.name ?? one.id] as const),
          ]}
          onChange={(value) => change(() => setConfig(value))}
        />
      </div>
      <NotAnswered asked={configs} command="buildnet config list" />
      <div className="stack tight">
        {OPTIONS.map(([name, words, why]) => (
          <label key={name} className="row check">
            <input
              type="checkbox"
              checked={options[name]}
              onChange={(event) =>
                change(() => setOptions({ ...options, [name]: event.target.checked }))
              }
            />
            <span>
              {words} <span className="soft small">{why}</span>
            </span>
          </label>
        ))}
      </div>
      {problem !== null && <ProblemView problem={problem} command={command} />}
      {estimate !== null && <EstimateFacts estimate={estimate} />}
      <Command line={command} />
      <div className="row end">
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
        <button type="button" className="button" disabled={busy !== null} onClick={ask}>
          {busy === "estimating" ? "Estimating…" : "Estimate"}
        </button>
        <button type="submit" className="button primary" disabled={busy !== null}>
          {busy === "starting" ? "Starting…" : options.dry_run ? "Rehearse" : "Build"}
        </button>
      </div>
    </form>
  );
}

const OPTIONS = [
  ["force", "force", "Run every command, even where its result is known."],
  ["keep_going", "keep going", "After a failure, go on with what does not need what failed."],
  ["dry_run", "dry run", "Only tell what would be done; nothing runs."],
] as const;

function EstimateFacts({ estimate }: { estimate: Estimate }) {
  const runs = estimate.packages.filter((one) => one.plan === "run").length;
  const restored = estimate.packages.filter((one) => one.plan === "restore").length;
  return (
    <div className="notice" role="status">
      {estimate.estimated_ms === null || estimate.interval_ms === null ? (
        <strong>How long it takes is not known: nothing of this workspace ran here yet</strong>
      ) : (
        <EstimateWords
          estimatedMs={estimate.estimated_ms}
          intervalMs={estimate.interval_ms}
          level={estimate.confidence_level}
        />
      )}
      <span className="small soft">
        {plural(runs, "task")} to run, {restored} from the cache, {estimate.unchanged} as before
        {estimate.critical_path_ms !== null &&
          `; the longest chain takes ${duration(estimate.critical_path_ms)}`}
      </span>
      {estimate.problems.map((one) => (
        <div key={`${one.name}#${one.task}`} className="small">
          <strong>{one.name}</strong>: {one.message}
          {one.hint && <span className="soft"> {one.hint}</span>}
        </div>
      ))}
    </div>
  );
}

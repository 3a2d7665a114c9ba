import { Download, FolderMinus, ListTree, Network } from "lucide-react";
import { lazy, Suspense, useCallback, useDeferredValue, useMemo, useState } from "react";
import { Choice, SearchBox } from "@/components/filters";
import { CloseDirectory } from "@/components/package-graph/close-directory";
import { toPng, toSvg } from "@/components/package-graph/export";
import { GraphList } from "@/components/package-graph/graph-list";
import {
  directoryOf,
  directoryOfNode,
  directoryWords,
  type GraphPackage,
  type GraphState,
  shown,
} from "@/components/package-graph/shape";
import { LOOKS } from "@/components/package-graph/states";
import { useLayout } from "@/components/package-graph/use-layout";
import { save } from "@/components/save";
import { Loading } from "@/components/states";
import { useToasts } from "@/components/toasts";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { plural } from "@/format/format";
import { pageColours } from "@/styles/colours";
import "@/components/package-graph/package-graph.css";

const GraphCanvas = lazy(() => import("@/components/package-graph/graph-canvas"));

/**
 * Packages and what they need. What is selected, focused and grouped stands in the address; `panel`
 * is shown beside the drawing for the package that is selected.
 */
export function PackageGraph({
  packages,
  name,
  panel,
  hasList = true,
}: {
  packages: readonly GraphPackage[];
  /** Of the files that it is exported to, and its title. */
  name: string;
  panel: (id: string, close: () => void) => React.ReactNode;
  /** Whether it can be shown as a list; not where there is a table beside it. */
  hasList?: boolean;
}) {
  const [selected, select] = useFilter("package");
  const [focus, setFocus] = useFilter("focus");
  const [groups, setGroups] = useFilter("groups");
  const [view, setView] = useFilter("as", "drawing");
  const isList = hasList && view === "list";
  const [text, setText] = useFilterInPlace("find");
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const directories = useMemo(
    () => new Set(packages.map((one) => directoryOf(one.path))).size,
    [packages],
  );
  const isThere = packages.some((one) => one.id === focus);
  const shape = useMemo(
    () =>
      shown(packages, {
        collapsed,
        open: groups === "yes" ? open : null,
        focus: isThere ? focus : null,
      }),
    [packages, collapsed, groups, open, focus, isThere],
  );
  // Typing goes first: what is found may come a picture later.
  const searched = useDeferredValue(text);
  const found = useMemo(() => {
    const wanted = searched.trim().toLowerCase();
    if (wanted === "") return null;
    const ids = shape.nodes
      .filter((node) =>
        (node.members ?? [node.id]).some((member) => member.toLowerCase().includes(wanted)),
      )
      .map((node) => node.id);
    return new Set(ids);
  }, [shape, searched]);
  const { places, busy } = useLayout(shape);
  const chosen = packages.find((one) => one.id === selected);

  const pick = (id: string | null) => {
    const directory = id === null ? null : directoryOfNode(id);
    if (directory !== null) setOpen((before) => new Set(before).add(directory));
    else select(id ?? "");
  };
  const closeDirectory = useCallback(
    (directory: string) =>
      setOpen((before) => new Set([...before].filter((one) => one !== directory))),
    [],
  );
  const toggle = (id: string) =>
    setCollapsed((before) => {
      const after = new Set(before);
      if (!after.delete(id)) after.add(id);
      return after;
    });

  return (
    <section className="package-graph" aria-label="Packages and what they need">
      <div className="row graph-tools">
        <SearchBox label="Find a package" value={text} onChange={setText} />
        {found !== null && <output className="soft small">{found.size} found</output>}
        {directories > 1 && (
          <Choice
            label="Directories"
            value={groups}
            options={[
              ["", "apart"],
              ["yes", "as one each"],
            ]}
            onChange={(value) => {
              setOpen(new Set());
              setGroups(value);
            }}
          />
        )}
        {isThere && (
          <button type="button" className="button" onClick={() => setFocus("")}>
            Show all, not only around {focus}
          </button>
        )}
        {collapsed.size > 0 && (
          <button type="button" className="button" onClick={() => setCollapsed(new Set())}>
            Unfold all
          </button>
        )}
        <span className="grow" />
        {hasList && (
          <button
            type="button"
            className="button"
            aria-pressed={isList}
            onClick={() => setView(isList ? "drawing" : "list")}
          >
            {isList ? <Network aria-hidden size={16} /> : <ListTree aria-hidden size={16} />}
            {isList ? "As a drawing" : "As a list"}
          </button>
        )}
        <Exports
          name={name}
          make={places === null ? null : () => toSvg(shape, places, pageColours(), name)}
        />
      </div>
      {groups === "yes" && open.size > 0 && (
        <ul className="row graph-open" aria-label="Open directories">
          {[...open].sort().map((directory) => (
            <li key={directory}>
              <button type="button" className="button" onClick={() => closeDirectory(directory)}>
                <FolderMinus aria-hidden size={16} />
                Close {directoryWords(directory)}
              </button>
            </li>
          ))}
        </ul>
      )}
      <Legend packages={packages} />
      <div className={chosen === undefined ? "graph-body" : "graph-body with-panel"}>
        {isList ? (
          <GraphList shape={shape} packages={packages} found={found} onSelect={pick} />
        ) : (
          <div className="graph-frame" aria-busy={busy}>
            <Suspense fallback={<Loading what="the drawing" />}>
              {places === null ? (
                <Loading what={`the layout of ${plural(shape.nodes.length, "package")}`} />
              ) : (
                <CloseDirectory value={closeDirectory}>
                  <GraphCanvas
                    shape={shape}
                    places={places}
                    selected={selected || null}
                    found={found}
                    onSelect={pick}
                  />
                </CloseDirectory>
              )}
            </Suspense>
            {busy && places !== null && <output className="badge graph-busy">laying out…</output>}
          </div>
        )}
        {chosen !== undefined && (
          <aside className="card graph-panel" aria-label={`Package ${chosen.id}`}>
            {panel(chosen.id, () => select(""))}
            <div className="row">
              <button type="button" className="button" onClick={() => setFocus(chosen.id)}>
                Only what is related
              </button>
              <button
                type="button"
                className="button"
                aria-pressed={collapsed.has(chosen.id)}
                disabled={chosen.needs.length === 0}
                onClick={() => toggle(chosen.id)}
              >
                {collapsed.has(chosen.id) ? "Unfold what it needs" : "Fold what it needs"}
              </button>
            </div>
          </aside>
        )}
      </div>
    </section>
  );
}

function Exports({ name, make }: { name: string; make: (() => string) | null }) {
  const toasts = useToasts();
  const run = async (kind: "svg" | "png") => {
    if (make === null) return;
    try {
      const svg = make();
      const content =
        kind === "png" ? await toPng(svg) : new Blob([svg], { type: "image/svg+xml" });
      save(content, `${name.replace(/[^\w.-]+/g, "-")}.${kind}`);
    } catch (problem) {
      toasts.failed(problem);
    }
  };
  return (["svg", "png"] as const).map((kind) => (
    <button
      key={kind}
      type="button"
      className="button"
      disabled={make === null}
      onClick={() => run(kind)}
    >
      <Download aria-hidden size={16} />
      {kind.toUpperCase()}
    </button>
  ));
}

/** Each state that is there, and how often. */
function Legend({ packages }: { packages: readonly GraphPackage[] }) {
  const counts = useMemo(() => {
    const found = new Map<GraphState, number>();
    for (const one of packages) found.set(one.state, (found.get(one.state) ?? 0) + 1);
    return found;
  }, [packages]);
  if (counts.size === 1 && counts.has("idle")) return null;
  return (
    <ul className="graph-legend" aria-label="States">
      {(Object.keys(LOOKS) as GraphState[])
        .filter((state) => counts.has(state))
        .map((state) => (
          <li key={state} className={`graph-key ${state}`}>
            <svg viewBox="0 0 16 16" aria-hidden="true">
              <path d={LOOKS[state].path} className={LOOKS[state].filled ? "filled" : "line"} />
            </svg>
            {LOOKS[state].words} <strong>{counts.get(state)}</strong>
          </li>
        ))}
    </ul>
  );
}

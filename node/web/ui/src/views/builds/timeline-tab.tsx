import { useMemo } from "react";
import { query } from "@/api/client";
import { useNow } from "@/components/age";
import { Empty } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { useFilter } from "@/components/url-state";
import { duration, plural } from "@/format/format";
import { TimelineCanvas } from "@/views/builds/timeline-canvas";
import { PART_COLOURS } from "@/views/builds/timeline-draw";
import { type Bar, PART_NAMES, type PartName, rowsOf } from "@/views/builds/timeline-rows";
import type { ShownBuild } from "@/views/builds/use-build";
import { useNames } from "@/views/builds/use-names";

const PART = 50;

/** When each task of a build waited, was brought somewhere and ran, and where. */
export default function TimelineTab({ build }: { build: ShownBuild }) {
  const names = useNames();
  const second = useNow();
  const [chosen, choose] = useFilter("task");
  const critical = useCriticalPath(build);
  const began = (build.told?.started_at ?? build.live.begun?.started_at ?? 0) * 1000;
  const now = build.running ? second : 0;
  const rows = useMemo(
    () => rowsOf(build.tasks, began, now, critical, names),
    [build.tasks, began, now, critical, names],
  );
  if (rows.bars.length === 0) {
    return (
      <Empty title={build.running ? "Nothing has begun yet" : "Nothing was to be done"}>
        <p className="soft">What stands as before takes no time, and stands in no timeline.</p>
      </Empty>
    );
  }
  return (
    <section className="stack tight" aria-label="Timeline">
      <Legend />
      <TimelineCanvas rows={rows} chosen={chosen || null} onChoose={(key) => choose(key ?? "")} />
      <p className="soft small">
        Drag to move, Ctrl and the wheel or + and − to zoom, 0 shows all of it. Outlined: the
        critical path, the chain that the build's end hung on
        {critical.size > 0 && `: ${[...critical].join(" → ")}`}.
      </p>
      <Bars bars={rows.bars} chosen={chosen} onChoose={choose} />
    </section>
  );
}

function useCriticalPath(build: ShownBuild): ReadonlySet<string> {
  const review = query.useQuery(
    "get",
    "/api/build/{build_id}/review",
    { params: { path: { build_id: build.id } } },
    { enabled: !build.running && build.told !== null, staleTime: Number.POSITIVE_INFINITY },
  );
  return useMemo(
    () => new Set((review.data?.critical_path.steps ?? []).map((step) => step.task)),
    [review.data],
  );
}

const WORDS: Record<PartName, string> = {
  queue: "waits for a place",
  lookup: "is looked up",
  restore: "is put in place from a cache",
  transfer: "goes to another host",
  staging: "its inputs are laid out",
  execution: "its command runs",
  upload: "its result is brought back",
};

function Legend() {
  return (
    <ul className="timeline-legend" aria-label="Parts of a task">
      {PART_NAMES.map((name) => (
        <li key={name} title={WORDS[name]}>
          <svg viewBox="0 0 14 9" aria-hidden="true">
            <rect
              width="14"
              height={name === "queue" ? 2 : 9}
              y={name === "queue" ? 3.5 : 0}
              style={{ fill: `var(${PART_COLOURS[name]})` }}
            />
          </svg>
          <strong>{name}</strong> <span className="soft">{WORDS[name]}</span>
        </li>
      ))}
    </ul>
  );
}

/** The same in words. */
function Bars({
  bars,
  chosen,
  onChoose,
}: {
  bars: readonly Bar[];
  chosen: string;
  onChoose: (key: string) => void;
}) {
  const columns: Column<Bar>[] = [
    {
      name: "task",
      cell: (bar) => (
        <button
          type="button"
          className="button plain link"
          aria-pressed={bar.key === chosen}
          onClick={() => onChoose(bar.key === chosen ? "" : bar.key)}
        >
          {bar.key}
        </button>
      ),
      sort: (bar) => bar.key,
    },
    { name: "node", cell: (bar) => bar.node, sort: (bar) => bar.node },
    {
      name: "begins",
      numeric: true,
      cell: (bar) => duration(Math.max(0, bar.from)),
      sort: (bar) => bar.from,
    },
    ...PART_NAMES.map(
      (name): Column<Bar> => ({
        name,
        numeric: true,
        cell: (bar) => {
          const took = tookOf(bar, name);
          return took === 0 ? "" : duration(took);
        },
        sort: (bar) => tookOf(bar, name),
      }),
    ),
    { name: "critical", cell: (bar) => (bar.critical ? "yes" : "") },
  ];
  return (
    <details>
      <summary>As a table: {plural(bars.length, "task")}</summary>
      <Table
        caption="Parts of each task"
        columns={columns}
        rows={bars}
        step={PART}
        keyOf={(bar) => bar.key}
        parameter="bars"
      />
    </details>
  );
}

function tookOf(bar: Bar, name: PartName): number {
  return bar.parts
    .filter((part) => part.name === name)
    .reduce((sum, part) => sum + part.to - part.from, 0);
}

import { Link } from "wouter";
import { query, type Schema } from "@/api/client";
import { Command } from "@/components/command";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { type Column, Table } from "@/components/table";
import { duration, plural } from "@/format/format";
import { TIER_WORDS } from "@/views/builds/tasks";
import type { ShownBuild } from "@/views/builds/use-build";

/** What a build can be learned from: what was slow, what missed the cache, what would save time. */
export default function ReviewTab({ build }: { build: ShownBuild }) {
  const found = query.useQuery(
    "get",
    "/api/build/{build_id}/review",
    { params: { path: { build_id: build.id } } },
    { enabled: !build.running },
  );
  const command = `buildnet history ${build.id} --review`;
  if (build.running) return <Empty title="A build is reviewed once it is over" />;
  const problem = <NotAnswered asked={found} command={command} />;
  if (found.data === undefined) return found.error ? problem : <Loading what="the review" />;
  const review = found.data as Schema["BuildReview"];
  return (
    <div className="stack">
      {problem}
      <Findings review={review} />
      <CriticalPath path={review.critical_path} />
      <Savings savings={review.savings} />
      <Missed review={review} />
      <Phases phases={review.phases} />
      <Command line={command} />
    </div>
  );
}

function Findings({ review }: { review: Schema["BuildReview"] }) {
  return (
    <section className="card stack tight">
      <h2>What would save time</h2>
      {review.findings.length === 0 ? (
        <p className="soft">Nothing that was measured.</p>
      ) : (
        review.findings.map((finding) => (
          <div key={`${finding.kind} ${finding.text}`} className="notice">
            <strong>{finding.text}</strong>
            <p>{finding.hint}</p>
            <span className="small soft">
              at most {duration(finding.saves_ms)} saved
              {finding.tasks.length > 0 && ` · ${finding.tasks.slice(0, 8).join(", ")}`}
            </span>
          </div>
        ))
      )}
    </section>
  );
}

function CriticalPath({ path }: { path: Schema["PathOfBuild"] }) {
  if (path.steps.length === 0) return null;
  return (
    <section className="card stack tight">
      <h2>The critical path: {duration(path.ms)}</h2>
      <p className="soft">
        The chain that the build's end hung on; {duration(path.work_ms)} of it was work
        {path.share !== null && ` (${Math.round(path.share * 100)} %)`}.
      </p>
      <ol className="path-steps">
        {path.steps.map((step) => (
          <li key={step.task}>
            <Link href={`?tab=timeline&task=${encodeURIComponent(step.task)}`}>{step.task}</Link>{" "}
            {duration(step.work_ms)}
            {step.waited_ms >= 1 && (
              <span className="soft">, waited {duration(step.waited_ms)} for a place</span>
            )}
            {step.before_ms >= 1 && (
              <span className="soft">, {duration(step.before_ms)} after the one before</span>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Savings({ savings }: { savings: Schema["SavedTime"] }) {
  return (
    <section className="card stack tight">
      <h2>Saved by results that were there</h2>
      {savings.tasks === 0 ? (
        <p className="soft">No result was there.</p>
      ) : (
        <>
          <p>
            {plural(savings.tasks, "task")}: {duration(savings.executed_ms)} of commands for{" "}
            {duration(savings.spent_ms)} of looking up and putting in place
            {savings.unknown > 0 && (
              <span className="soft">; of {savings.unknown} it is not known</span>
            )}
          </p>
          <ul className="reasons">
            {Object.entries(savings.by_tier).map(([tier, count]) => (
              <li key={tier}>
                {count} {TIER_WORDS[tier] ?? tier}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

const COLUMNS: Column<Schema["MissedTask"]>[] = [
  {
    name: "task",
    cell: (one) => (
      <Link href={`?tab=graph&package=${encodeURIComponent(one.task.split("#")[0] ?? one.task)}`}>
        {one.task}
      </Link>
    ),
    sort: (one) => one.task,
  },
  {
    name: "command",
    numeric: true,
    cell: (one) => duration(one.executed_ms),
    sort: (one) => one.executed_ms,
  },
  {
    name: "why",
    title: "why it ran",
    cell: (one) => one.reasons.join("; ") || "it never ran before",
  },
  {
    name: "nearest",
    title: "the nearest result differs in",
    cell: (one) => one.nearest?.join("; ") ?? <span className="soft">not looked for</span>,
  },
];

function Missed({ review }: { review: Schema["BuildReview"] }) {
  return (
    <section className="stack tight">
      <h2>What had to run: {plural(review.missed_count, "task")}</h2>
      {review.missed.length > 0 && (
        <Table
          caption="What had to run, and why"
          columns={COLUMNS}
          rows={review.missed}
          keyOf={(one) => one.task}
        />
      )}
      {review.missed_count > review.missed.length && (
        <p className="soft small">The first {review.missed.length} of them.</p>
      )}
    </section>
  );
}

function Phases({ phases }: { phases: Schema["BuildReview"]["phases"] }) {
  const known = Object.entries(phases ?? {}).filter(([, ms]) => ms !== null);
  if (known.length === 0) return null;
  return (
    <section className="card">
      <h2>Phases</h2>
      <dl className="facts">
        {known.map(([name, ms]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name.replace(/_ms$/, "")}</dt>
            <dd>{duration(ms)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

import { useState } from "react";
import { query } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { Command } from "@/components/command";
import { NotAnswered } from "@/components/kept";
import { ProblemView } from "@/components/problem-view";
import { Loading } from "@/components/states";
import { bytes, count, dateTime, plural } from "@/format/format";
import { useRefetchOnPool } from "@/live/use-refetch";
import { Seals } from "@/views/ledger/seals";
import { type Report, stepWords, useCheck } from "@/views/ledger/use-check";

/** Whether what this node holds is what was written, and how sealing goes. */
export function Verification() {
  const store = query.useQuery("get", "/api/ledger/store");
  useRefetchOnPool(["get", "/api/ledger/store"], "store", "ledger");
  const problem = <NotAnswered asked={store} command="buildnet ledger status" />;
  if (store.data === undefined) {
    return store.error ? problem : <Loading what="the ledger's file" lines={6} />;
  }
  const { sealing, scrub, damage, voting, ...file } = store.data;
  return (
    <div className="stack">
      {problem}
      <div className="grid">
        <Check />
        <section className="card stack tight" aria-labelledby="ledger-sealing">
          <header>
            <h2 id="ledger-sealing">Sealing</h2>
            <Badge tone={sealing.works ? "good" : "bad"}>
              {sealing.works ? "works" : "does not work"}
            </Badge>
          </header>
          {sealing.text && <p>{sealing.text}</p>}
          <dl className="facts">
            <dt>Last seal</dt>
            <dd>
              {sealing.height} · <Age at={sealing.sealed_at} />
            </dd>
            <dt>Not sealed yet</dt>
            <dd>{plural(sealing.unsealed ?? 0, "entry", "entries")}</dd>
            <dt>This node</dt>
            <dd>{voting.voter ? (voting.abstains ? "abstains" : "votes") : "does not vote"}</dd>
          </dl>
          <ul className="ledger-voters">
            {sealing.voters.map((voter) => (
              <li key={voter.node_id} className="row">
                {voter.name ?? voter.node_id}
                <Badge tone={voter.state === "here" ? "good" : "warn"}>{voter.state}</Badge>
                {voter.why && <span className="soft small">{voter.why}</span>}
              </li>
            ))}
          </ul>
        </section>
        <section className="card stack tight" aria-labelledby="ledger-file">
          <header>
            <h2 id="ledger-file">The file</h2>
            {damage && !damage.mended && <Badge tone="bad">damaged</Badge>}
          </header>
          <dl className="facts">
            <dt>Size</dt>
            <dd>
              {bytes(file.bytes)}
              {file.encrypted ? ", encrypted" : ", not encrypted"}
            </dd>
            <dt>Read as a whole</dt>
            <dd>
              {scrub.running ? (
                `now: ${count(scrub.checked)} entries so far`
              ) : scrub.last ? (
                <>
                  <Age at={scrub.last.finished_at} />:{" "}
                  {scrub.last.wrong === 0 ? "nothing wrong" : `${scrub.last.wrong} damaged`} in{" "}
                  {plural(scrub.last.entries, "entry", "entries")} that it had then
                </>
              ) : (
                "not yet"
              )}
            </dd>
            <dt>Damage</dt>
            <dd>
              {damage ? (
                <>
                  {plural(damage.problems, "problem")} found by {damage.by}{" "}
                  <Age at={damage.found_at} />, {damage.mended ? "mended" : "not mended"}
                </>
              ) : (
                "none was ever found"
              )}
            </dd>
            <dt>Pruned</dt>
            <dd>
              {file.pruned
                ? `what was sealed up to ${dateTime(file.pruned.until)}`
                : "nothing: all entries are here"}
            </dd>
          </dl>
        </section>
      </div>
      <Seals />
    </div>
  );
}

function Check() {
  const { check, step, problem, last } = useCheck();
  const [deep, setDeep] = useState(false);
  const may = useMay("modify-resources");
  return (
    <section className="card stack tight" aria-labelledby="ledger-check">
      <header>
        <h2 id="ledger-check">Verification</h2>
        {last && <Verdict report={last.report} />}
      </header>
      {last ? (
        <p>
          {plural(last.report.entries_checked, "entry", "entries")} and{" "}
          {plural(last.report.seals_checked, "seal")} checked <Age at={last.at} />
          {last.report.pruned > 0 && `; of ${count(last.report.pruned)} only the hash is here`}.
        </p>
      ) : (
        step === null && <p className="soft">Not verified since this page was opened.</p>
      )}
      {last && last.report.errors.length > 0 && (
        <ul>
          {last.report.errors.map(({ where, what }) => (
            <li key={`${where}: ${what}`}>
              <strong>{where}</strong>: {what}
            </li>
          ))}
        </ul>
      )}
      <p role="status">{step && stepWords(step)}</p>
      {step?.total !== undefined && (
        <progress className="ledger-progress" value={step.entries} max={step.total} />
      )}
      {problem !== null && <ProblemView problem={problem} command="buildnet ledger verify" />}
      {may ? (
        <div className="row">
          <button
            type="button"
            className="button primary"
            disabled={step !== null}
            onClick={() => check({ deep, repair: false })}
          >
            {step ? "Verifying…" : "Verify now"}
          </button>
          {last && !last.report.verified && (
            <button
              type="button"
              className="button"
              disabled={step !== null}
              onClick={() => check({ deep, repair: true })}
            >
              Put right what can be
            </button>
          )}
          <label className="row">
            <input
              type="checkbox"
              checked={deep}
              onChange={(event) => setDeep(event.target.checked)}
            />
            with the derived tables
          </label>
        </div>
      ) : (
        <p className="soft small">To verify takes the rights of an admin.</p>
      )}
      <Command line={`buildnet ledger verify${deep ? " --deep" : ""}`} />
    </section>
  );
}

function Verdict({ report }: { report: Report }) {
  return report.verified ? (
    <Badge tone="good">verified</Badge>
  ) : (
    <Badge tone="bad">{plural(report.errors.length, "problem")} found</Badge>
  );
}

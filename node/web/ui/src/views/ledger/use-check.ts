import { skipToken, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { changingHeaders, type Schema } from "@/api/client";
import { Problem } from "@/api/problem";
import { count, plural } from "@/format/format";

export type Report = Schema["LedgerCheck"];
export interface Step {
  type: string;
  entries?: number;
  total?: number;
  seals?: number;
  problems?: number;
}

const LAST = ["ledger-check"];

/** Checks all that the node holds; what was found stays for as long as the page is open. */
export function useCheck() {
  const client = useQueryClient();
  const last = useQuery<{ report: Report; at: number }>({
    queryKey: LAST,
    queryFn: skipToken,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
  });
  const [step, setStep] = useState<Step | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const check = async (how: { deep: boolean; repair: boolean }) => {
    setProblem(null);
    setStep({ type: "begins" });
    try {
      const report = await verify(how, setStep);
      client.setQueryData(LAST, { report, at: Date.now() });
      void client.invalidateQueries({ queryKey: ["get", "/api/ledger/store"] });
    } catch (thrown) {
      setProblem(thrown);
    } finally {
      setStep(null);
    }
  };
  return { check, step, problem, last: last.data ?? null };
}

async function verify(
  how: { deep: boolean; repair: boolean },
  tell: (step: Step) => void,
): Promise<Report> {
  const answer = await fetch("/api/ledger/verify", {
    method: "POST",
    credentials: "same-origin",
    headers: {
      accept: "application/x-ndjson",
      "content-type": "application/json",
      ...changingHeaders(),
    },
    body: JSON.stringify(how),
  });
  if (!answer.ok || answer.body === null) throw await Problem.of(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Problem("the node broke the check off", "BROKEN_OFF", 0);
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") continue;
      const event = JSON.parse(line) as Step;
      if (event.type === "report") return event as unknown as Report;
      if (event.type === "error") throw told(event as unknown as Record<string, string>);
      tell(event);
    }
  }
}

function told(event: Partial<Record<string, string>>): Problem {
  const { message, code, cause, hint } = event;
  return new Problem(
    message ?? "the check failed",
    code ?? "CHECK",
    0,
    cause ?? null,
    hint ?? null,
  );
}

/** How far a check is, in words. */
export function stepWords({ type, entries, total, seals, problems }: Step): string {
  if (type === "repairing") return `Putting right ${plural(problems ?? 0, "problem")}…`;
  if (entries === undefined) return "Beginning to read…";
  const far = `Checked ${count(entries)} of ${plural(total ?? 0, "entry", "entries")}`;
  const found = problems ? `, ${plural(problems, "problem")} so far` : "";
  return `${far} and ${plural(seals ?? 0, "seal")}${found}…`;
}

import { Choice } from "@/components/filters";
import type { Draft } from "@/views/builder/draft";

const STRATEGIES = ["smart", "round_robin", "least_loaded", "fastest", "locality"] as const;
const PRIORITIES = ["critical", "high", "normal", "low"] as const;

/** How a build runs with the draft. */
export function How({
  draft,
  onEdit,
}: {
  draft: Draft;
  onEdit: (draft: Draft, tag?: string) => void;
}) {
  const { execution } = draft;
  const change = (change: Draft["execution"], tag?: string) =>
    onEdit({ ...draft, execution: { ...execution, ...change } }, tag);
  const alone = (is: boolean) => {
    const { local_only: _, ...others } = execution;
    onEdit({ ...draft, execution: is ? { ...others, local_only: true } : others });
  };
  return (
    <details className="card how">
      <summary>How it runs</summary>
      <div className="row">
        <Choice
          label="Strategy"
          value={execution.strategy ?? ""}
          options={[["", "as the profile says"], ...STRATEGIES]}
          onChange={(value) =>
            change({ strategy: STRATEGIES.find((one) => one === value) ?? null })
          }
        />
        <Choice
          label="Priority"
          value={execution.priority ?? ""}
          options={[["", "as the profile says"], ...PRIORITIES]}
          onChange={(value) =>
            change({ priority: PRIORITIES.find((one) => one === value) ?? null })
          }
        />
        <Count
          label="Nodes at most"
          value={execution.max_nodes ?? null}
          onChange={(value) => change({ max_nodes: value }, "max_nodes")}
        />
        <Count
          label="Commands at once"
          value={execution.parallel ?? null}
          onChange={(value) => change({ parallel: value }, "parallel")}
        />
        <label className="row small">
          <input
            type="checkbox"
            checked={execution.local_only ?? false}
            onChange={(event) => alone(event.target.checked)}
          />
          on the asked node alone
        </label>
      </div>
    </details>
  );
}

function Count({
  label,
  value,
  onChange,
}: {
  label: string;
  value: number | null;
  onChange: (value: number | null) => void;
}) {
  return (
    <label className="row small soft">
      {label}
      <input
        className="input zone-total"
        type="number"
        min={1}
        placeholder="no bound"
        value={value ?? ""}
        onChange={(event) => onChange(Number(event.target.value) || null)}
      />
    </label>
  );
}

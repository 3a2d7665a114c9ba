import { Age } from "@/components/age";
import { ProblemView } from "@/components/problem-view";

/** What was asked for, and how that went. */
interface Asked {
  data: unknown;
  error: unknown;
  dataUpdatedAt: number;
  refetch: () => unknown;
}

/**
 * Why something can't be had, and how old what stands below it is then: what was there stays, as
 * nobody knows better. Nothing where it was answered.
 */
export function NotAnswered({ asked, command }: { asked: Asked; command?: string }) {
  if (asked.error === null) return null;
  return (
    <ProblemView
      problem={asked.error}
      onRetry={() => asked.refetch()}
      {...(command !== undefined && { command })}
    >
      {asked.data !== undefined && (
        <p>
          Shown is what was told <Age at={asked.dataUpdatedAt} />.
        </p>
      )}
    </ProblemView>
  );
}

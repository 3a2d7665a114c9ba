import { duration } from "@/format/format";

/** How long something is expected to take, its range and how sure that is. */
export function EstimateWords({
  estimatedMs,
  intervalMs,
  level,
}: {
  estimatedMs: number;
  intervalMs: readonly [number, number];
  level: string;
}) {
  return (
    <span title="Four builds of five end in this range">
      about <strong>{duration(estimatedMs)}</strong>{" "}
      <span className="soft">
        ({duration(intervalMs[0])} to {duration(intervalMs[1])}, {level} confidence)
      </span>
    </span>
  );
}

import { plural } from "@/format/format";
import { useSilence } from "@/live/use-silence";

/** How far a build is, as a bar and in words. */
export function Progress({
  done,
  failed,
  total,
  running,
}: {
  done: number;
  failed: number;
  total: number | null;
  running: number;
}) {
  const isHeard = useSilence() === null;
  const words =
    total === null
      ? `${plural(done, "task")} done`
      : `${Math.min(done, total)} of ${plural(total, "task")} done${failed > 0 ? `, ${failed} failed` : ""}`;
  const share = (part: number) => `${total ? Math.min(100, (part / total) * 100) : 0}%`;
  return (
    <div className="build-progress">
      <progress className="unseen" value={Math.min(done, total ?? done)} max={total ?? undefined}>
        {words}
      </progress>
      <div className="meter-track parts" aria-hidden="true">
        <div className="meter-fill good" style={{ width: share(done - failed) }} />
        <div className="meter-fill bad" style={{ width: share(failed) }} />
        {isHeard && <div className="meter-fill running" style={{ width: share(running) }} />}
      </div>
      <span className="small">
        {words}
        {running > 0 && `, ${running} ${isHeard ? "running" : "ran"}`}
      </span>
    </div>
  );
}

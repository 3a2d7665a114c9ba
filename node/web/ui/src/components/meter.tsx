import { percent } from "@/format/format";

/**
 * How much of something is in use. `used` null: not known, which is said and not drawn. Turns to
 * `warn` and `bad` at the shares given (none: it is always in the accent's colour).
 */
export function Meter({
  label,
  used,
  total,
  text,
  warnAt = 0.8,
  badAt = 0.95,
}: {
  label: string;
  used: number | null | undefined;
  total: number | null | undefined;
  /** In words, with units: "3 of 8 cores". */
  text: string;
  warnAt?: number;
  badAt?: number;
}) {
  const known = used != null && total != null && total > 0;
  const share = known ? Math.min(1, Math.max(0, used / total)) : 0;
  const tone = share >= badAt ? "bad" : share >= warnAt ? "warn" : "";
  return (
    <div className="meter">
      <div className="row between small">
        <span>{label}</span>
        <span className="soft">{text}</span>
      </div>
      {known && (
        <meter className="unseen" aria-label={`${label}: ${text}`} value={share} min={0} max={1}>
          {percent(used, total)}
        </meter>
      )}
      <div className="meter-track" aria-hidden="true">
        <div className={`meter-fill ${tone}`} style={{ width: `${share * 100}%` }} />
      </div>
    </div>
  );
}

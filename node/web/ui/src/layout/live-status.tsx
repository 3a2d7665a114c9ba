import { CirclePause, CirclePlay } from "lucide-react";
import { Age } from "@/components/age";
import { plural } from "@/format/format";
import { loginPath } from "@/layout/login-path";
import { useFeed, useFeedState } from "@/live/use-live";

const STALE_MS = 35_000;

/** Whether what is shown is live, and how old it is if not; pauses and goes on. */
export function LiveStatus() {
  const feed = useFeed();
  const { status, paused, waiting, heardAt, reason, refusal } = useFeedState();
  const words = paused
    ? `paused, ${plural(waiting, "change waits", "changes wait")}`
    : {
        connecting: "connecting",
        live: "live",
        lost: "connection lost, trying again",
        ended: refusal === null ? "ended" : "not told live",
      }[status];
  const tone =
    paused || status === "lost" || refusal !== null
      ? "warn"
      : status === "ended"
        ? "bad"
        : status === "live"
          ? "good"
          : "calm";
  return (
    <div className="row">
      <span className={`badge ${tone}`} title={reason ?? undefined} data-testid="live">
        {words}
      </span>
      {status !== "live" && heardAt !== null && (
        <span className="small">
          as of <Age at={heardAt} staleAfterMs={STALE_MS} />
        </span>
      )}
      {status === "ended" && refusal === null && reason && <span className="small">{reason}</span>}
      {status === "ended" && refusal === null && (
        <a
          className="button"
          href="/login"
          onClick={(event) => {
            event.currentTarget.href = loginPath();
          }}
        >
          Log in again
        </a>
      )}
      <button
        type="button"
        className="button plain icon"
        aria-label={paused ? "Go on with live data" : "Pause live data"}
        title={paused ? "Go on with live data" : "Pause live data"}
        onClick={() => (paused ? feed.resume() : feed.pause())}
      >
        {paused ? <CirclePlay aria-hidden size={18} /> : <CirclePause aria-hidden size={18} />}
      </button>
    </div>
  );
}

import { ProblemView } from "@/components/problem-view";
import { loginPath } from "@/layout/login-path";
import { useFeedState } from "@/live/use-live";

/** Says to whom nothing live is told what their key lacks, what works without, and the way on. */
export function NotTold() {
  const { refusal } = useFeedState();
  if (refusal === null) return null;
  return (
    <ProblemView problem={refusal}>
      <p>
        So nothing here changes by itself: what runs and waits now is not shown. Whatever is asked
        for, such as builds that ended, is as it was when it was asked for; load the page again for
        news.
      </p>
      <div>
        <a
          className="button"
          href="/login"
          onClick={(event) => {
            event.currentTarget.href = loginPath();
          }}
        >
          Log in otherwise
        </a>
      </div>
    </ProblemView>
  );
}

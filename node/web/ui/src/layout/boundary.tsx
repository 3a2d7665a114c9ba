import { Component, type ReactNode, useEffect, useRef } from "react";
import { ProblemView } from "@/components/problem-view";
import { useFeed, useFeedState } from "@/live/use-live";

/** Keeps the rest of the page alive where a view fails, or could not be fetched. */
export class Boundary extends Component<{ children: ReactNode }, { thrown: unknown }> {
  override state: { thrown: unknown } = { thrown: null };

  static getDerivedStateFromError(thrown: unknown) {
    return { thrown };
  }

  override render() {
    if (this.state.thrown === null) return this.props.children;
    return <Failed thrown={this.state.thrown} />;
  }
}

/** What was not fetched is not asked for again by itself: the page is loaded anew, and by itself
 * once a node that did not answer is back. */
function Failed({ thrown }: { thrown: unknown }) {
  const feed = useFeed();
  const { status } = useFeedState();
  const wasLost = useRef(false);
  useEffect(() => feed.check(), [feed]);
  useEffect(() => {
    if (status === "lost") wasLost.current = true;
    else if (status === "live" && wasLost.current) location.reload();
  }, [status]);
  return <ProblemView problem={thrown} onRetry={() => location.reload()} />;
}

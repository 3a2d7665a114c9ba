import { Component, type ReactNode, useEffect, useState } from "react";
import { ProblemView } from "@/components/problem-view";
import { useFeedState } from "@/live/use-live";

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
  const { status } = useFeedState();
  const [wasLost] = useState(status === "lost");
  useEffect(() => {
    if (wasLost && status === "live") location.reload();
  }, [wasLost, status]);
  return <ProblemView problem={thrown} onRetry={() => location.reload()} />;
}

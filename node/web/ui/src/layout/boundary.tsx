import { Component, type ReactNode } from "react";
import { ProblemView } from "@/components/problem-view";

/** Keeps the rest of the page alive where a view fails, or could not be fetched. */
export class Boundary extends Component<{ children: ReactNode }, { thrown: unknown }> {
  override state: { thrown: unknown } = { thrown: null };

  static getDerivedStateFromError(thrown: unknown) {
    return { thrown };
  }

  override render() {
    if (this.state.thrown === null) return this.props.children;
    return <ProblemView problem={this.state.thrown} onRetry={() => location.reload()} />;
  }
}

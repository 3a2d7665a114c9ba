import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { NothingNow } from "@/components/nothing-now";

const feed = vi.hoisted(() => ({
  status: "live",
  heardAt: null as number | null,
  refusal: null as object | null,
}));

vi.mock("@/live/use-live", () => ({
  useOfFeed: (part: (of: typeof feed) => unknown) => part(feed),
}));

it.each<[string, number | null, string]>([
  ["live", Date.now(), "Nothing runs"],
  ["lost", Date.now() - 70_000, "Nothing runs, as was told 1 min ago."],
  ["ended", Date.now() - 60_000, "Not known now: the node can't be heard"],
  ["connecting", null, "Not known yet: this node has told nothing"],
])(
  "while the connection is %s, nothing is a fact only if it was told",
  (status, heardAt, words) => {
    Object.assign(feed, { status, heardAt });
    const { container } = render(<NothingNow title="Nothing runs" />);
    expect(container.textContent).toContain(words);
    const isFact = screen.queryByText("Nothing runs", { selector: "strong" }) !== null;
    expect(isFact).toBe(status === "live");
  },
);

it("says where nothing is told to who is logged in", () => {
  Object.assign(feed, { status: "ended", heardAt: null, refusal: {} });
  const { container } = render(<NothingNow title="Nothing runs" />);
  expect(container.textContent).toContain("told nothing live");
});

import { render } from "@testing-library/react";
import { expect, it } from "vitest";
import { Titled, useSubject } from "@/layout/title";

function Shown({ subject }: { subject: string | null }) {
  useSubject(subject);
  return null;
}

it("names the view, and what it is of as soon as that is known", () => {
  const at = (view: string | null, subject?: string | null) => (
    <Titled view={view}>{subject !== undefined && <Shown subject={subject} />}</Titled>
  );
  const { rerender } = render(at("Builds", null));
  const titles = [document.title];
  for (const next of [
    at("Builds", "lab failed"),
    at("Queue"),
    at("Nodes", "node\u202e1"),
    at(null),
  ]) {
    rerender(next);
    titles.push(document.title);
  }
  expect(titles).toEqual([
    "Builds · BuildNet",
    "lab failed · Builds · BuildNet",
    "Queue · BuildNet",
    "node[U+202E]1 · Nodes · BuildNet",
    "BuildNet",
  ]);
});

import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { Tabs, useTab } from "@/components/tabs";

const TABS = [
  ["graph", "Graph"],
  ["tasks", "Tasks"],
  ["log", "Log"],
] as const;

function View() {
  const current = useTab(TABS);
  return <Tabs label="Parts" tabs={TABS} current={current} keeps={["package"]} />;
}

it.each([
  ["tab=tasks&package=app&sort=-took&cursor=x", "Tasks"],
  ["tab=gone&package=app", "Graph"],
  ["package=app", "Graph"],
])("leads from ?%s to each part, with what counts in all of them", (address, current) => {
  history.replaceState(null, "", `/ui/builds/b1?${address}`);
  render(<View />);
  const links = screen.getAllByRole("link");
  expect(links.map((link) => link.getAttribute("href"))).toEqual([
    "/ui/builds/b1?package=app",
    "/ui/builds/b1?package=app&tab=tasks",
    "/ui/builds/b1?package=app&tab=log",
  ]);
  expect(screen.getByRole("link", { current: "page" }).textContent).toBe(current);
});

import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { Toasts } from "@/components/toasts";
import BuildLog from "@/views/builds/log";
import type { LoggedTask } from "@/views/builds/log-tasks";

vi.mock("@/components/log-viewer/use-fetched-log", () => ({ useFetchedLog: () => null }));

const TASKS = [
  { name: "core", task: "build", state: "built", report: { log: "digest/1" } },
] as unknown as LoggedTask[];

beforeEach(() => history.replaceState(null, "", "/ui/builds/60df?tab=log&task=gone"));

it("offers the outputs that are kept where an address names another one", async () => {
  render(<BuildLog id="60df" running={false} tasks={TASKS} />, { wrapper: Toasts });
  expect(screen.getByText("Nothing is kept of gone")).toBeDefined();
  await userEvent.selectOptions(screen.getByLabelText("Output of"), "core#build (built)");
  expect(location.search).toBe("?tab=log");
});

it("says that a build printed nothing", () => {
  render(<BuildLog id="60df" running={false} tasks={[]} />);
  expect(screen.getByText("This build printed nothing")).toBeDefined();
});

import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { Problem } from "@/api/problem";
import { NotTold } from "@/layout/not-told";

const feed = vi.hoisted(() => ({ refusal: null as unknown }));

vi.mock("@/live/use-live", () => ({ useFeedState: () => feed }));

it("says what the key lacks, and offers another login", () => {
  feed.refusal = null;
  const { container, rerender } = render(<NotTold />);
  expect(container.textContent).toBe("");
  feed.refusal = new Problem("the key is for single workspaces", "NOT_ALLOWED", 403, null, "ask");
  rerender(<NotTold />);
  expect(screen.getByRole("alert").textContent).toContain("the key is for single workspaces");
  expect(screen.getByRole("link", { name: "Log in otherwise" })).toBeDefined();
});

import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import Compare from "@/views/builds/compare";

vi.mock("@/api/client", () => ({
  query: { useQuery: () => ({ data: undefined, error: null }) },
}));

beforeEach(() => history.replaceState(null, "", "/ui/builds/compare?a=one&b=two"));

it("exchanges the two builds", async () => {
  render(<Compare />);
  await userEvent.click(screen.getByRole("button", { name: "Exchange" }));
  expect(location.search).toBe("?a=two&b=one");
});

import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { GoesBy } from "@/views/builds/goes-by";

it("names what a build goes by, with a way to the configuration that is kept", () => {
  const { container, rerender } = render(
    <GoesBy choice={{ configuration: "two nodes", version: 3, profile: "fast" }} />,
  );
  expect(container.textContent).toBe("two nodes, version 3, profile fast");
  expect(screen.getByRole("link").getAttribute("href")).toBe("/ui/builder?config=two%20nodes");
  rerender(<GoesBy choice={{ template: "big", variables: { cores: 8 }, configuration: null }} />);
  expect(container.textContent).toBe("of the template big (cores=8)");
  rerender(<GoesBy choice={{ unkept: { id: "x" } }} />);
  expect(container.textContent).toBe("one that is kept nowhere");
  rerender(<GoesBy choice={null} />);
  expect(container.textContent).toBe("none");
});

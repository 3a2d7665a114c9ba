import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { aPoolNode } from "@/testing/nodes";
import { Hardware } from "@/views/nodes/hardware";

it("tells of each graphics card, also where two have the same name", () => {
  const said = vi.spyOn(console, "error").mockImplementation(() => {});
  const node = aPoolNode();
  if (node.resources === null) throw new Error("the node of the tests has resources");
  const gpu = { name: "RTX 4090", memory_bytes: 1024 ** 3 };
  render(<Hardware node={{ ...node, resources: { ...node.resources, gpus: [gpu, gpu] } }} />);
  expect(screen.getAllByText(/RTX 4090/)).toHaveLength(2);
  expect(said).not.toHaveBeenCalled();
});

import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { EMPTY } from "@/views/builder/draft";
import { NO_FAULTS } from "@/views/builder/faults";
import { node, POOL } from "@/views/builder/testing";
import { Zones } from "@/views/builder/zones";

it.each([
  ["berta", POOL, "12"],
  ["a node that is gone", [node("anna", { thisNode: true, freeCores: 0 })], "unknown"],
])("tells what all cores of %s come to", (name, nodes, words) => {
  const pieces = [{ key: "1", node: name, cores: 0, specific: [] }];
  const draft = { ...EMPTY, cpu: { ...EMPTY.cpu, pieces } };
  render(<Zones draft={draft} nodes={nodes} faults={NO_FAULTS} refused={null} onEdit={() => {}} />);
  expect(screen.getByLabelText<HTMLInputElement>("Cores in all").placeholder).toBe(words);
});

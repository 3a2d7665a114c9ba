import { expect, test } from "vitest";
import type { ConfigDocument } from "@/views/builder/draft";
import { fromText, toJson, toYaml } from "@/views/builder/text";

const DOCUMENT = {
  id: "dev",
  name: "Development: fast",
  resources: {
    cpu: { cores: 4, node_allocations: [{ node_id: "anna", cores: 4 }] },
    memory: { gb: 2, node_allocations: [{ node_id: "anna", gb: 1.5 }] },
    tools: [{ name: "git", version: ">=2" }],
  },
} as ConfigDocument;

test("YAML is as buildnet config export prints it", async () => {
  expect(await toYaml(DOCUMENT)).toBe(`id: dev
name: 'Development: fast'
resources:
  cpu:
    cores: 4
    node_allocations:
    - node_id: anna
      cores: 4
  memory:
    gb: 2.0
    node_allocations:
    - node_id: anna
      gb: 1.5
  tools:
  - name: git
    version: '>=2'
`);
});

test("what was written is read again, as YAML and as JSON", async () => {
  expect(await fromText(await toYaml(DOCUMENT))).toEqual(DOCUMENT);
  expect(await fromText(toJson(DOCUMENT))).toEqual(DOCUMENT);
});

test("what is no configuration is refused with its line", async () => {
  await expect(fromText("id: [1\n")).rejects.toThrow(/line 2/);
  await expect(fromText("- 1\n")).rejects.toThrow("no keys and values");
});

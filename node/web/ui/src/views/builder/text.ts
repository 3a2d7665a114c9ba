import type { ConfigDocument } from "@/views/builder/draft";

/** As `buildnet config export` prints it. The library comes only when somebody needs it. */
export async function toYaml(document: ConfigDocument): Promise<string> {
  const { stringify } = await import("yaml");
  return stringify(document, {
    indentSeq: false,
    singleQuote: true,
    lineWidth: 100,
    aliasDuplicateObjects: false,
  });
}

export function toJson(document: ConfigDocument): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Read a file of YAML or JSON; what it holds is for the node to judge. */
export async function fromText(text: string): Promise<Record<string, unknown>> {
  const { parse } = await import("yaml");
  const found: unknown = parse(text, { prettyErrors: true });
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    throw new Error("the file holds no keys and values");
  }
  return found as Record<string, unknown>;
}

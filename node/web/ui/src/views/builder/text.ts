import type { ConfigDocument } from "@/views/builder/draft";

/** What the command line writes with a point, even where it is whole. */
const FRACTIONS = new Set(["gb", "size_gb", "min_free_gb", "timeout", "max_latency_ms"]);

/** As `buildnet config export` prints it. The library comes only when somebody needs it. */
export async function toYaml(document: ConfigDocument): Promise<string> {
  const { Document, isScalar, visit } = await import("yaml");
  const yaml = new Document(document, { aliasDuplicateObjects: false });
  visit(yaml, {
    Pair(_, { key, value }) {
      if (isScalar(key) && FRACTIONS.has(String(key.value)) && isScalar(value)) {
        value.minFractionDigits = 1;
      }
    },
  });
  return yaml.toString({ indentSeq: false, singleQuote: true, lineWidth: 100 });
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

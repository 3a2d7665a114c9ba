/** What is changed of a host's tags and limits: "" leaves a limit as it is. */
import { quoted } from "@/format/shell";
export interface TermsForm {
  tags: string;
  cores: string;
  commands: string;
  memory: string;
  weight: string;
  accept: "" | "yes" | "no";
  hours: string;
}

/** What is asked of PUT /api/servers/{name}: only what differs from what it was. */
export function changed(form: TermsForm, before: TermsForm): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  if (words(form.tags).join() !== words(before.tags).join()) body.tags = words(form.tags);
  const figures = [
    ["max_cores", form.cores, before.cores],
    ["max_commands", form.commands, before.commands],
    ["max_memory_gb", form.memory, before.memory],
    ["priority_weight", form.weight, before.weight],
  ] as const;
  for (const [key, value, old] of figures) {
    if (value !== old && value !== "") body[key] = Number(value);
  }
  if (form.accept !== before.accept && form.accept !== "") {
    body.accept_remote_builds = form.accept === "yes";
  }
  if (form.hours !== before.hours && form.hours !== "") body.local_only_hours = words(form.hours);
  return body;
}

/** All as node.yaml says: null, for each. */
export const RESET = {
  tags: null,
  max_cores: null,
  max_commands: null,
  max_memory_gb: null,
  accept_remote_builds: null,
  priority_weight: null,
  local_only_hours: null,
};

/** The same as options of `buildnet server update`. */
export function asCommand(name: string, body: Record<string, unknown>): string {
  const options: string[] = [];
  const tags = body.tags as string[] | undefined;
  for (const tag of tags ?? []) options.push(`--tag ${quoted(tag)}`);
  if (body.max_cores !== undefined) options.push(`--max-cores ${body.max_cores}`);
  if (body.max_commands !== undefined) options.push(`--max-commands ${body.max_commands}`);
  if (body.max_memory_gb !== undefined) options.push(`--memory "${body.max_memory_gb} GiB"`);
  if (body.priority_weight !== undefined) options.push(`--weight ${body.priority_weight}`);
  if (body.accept_remote_builds !== undefined) {
    options.push(body.accept_remote_builds ? "--accept" : "--refuse");
  }
  for (const hours of (body.local_only_hours as string[] | undefined) ?? []) {
    options.push(`--local-only ${quoted(hours)}`);
  }
  return ["buildnet server update", quoted(name), ...options].join(" ");
}

function words(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

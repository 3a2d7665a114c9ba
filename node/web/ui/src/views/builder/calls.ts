import { api, type Schema } from "@/api/client";
import { type ConfigDocument, type Draft, fromDocument, toDocument } from "@/views/builder/draft";
import { bodyOf } from "@/views/builds/start";

export const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const BY = { query: { actor: "local" } } as const;

interface Kept {
  draft: Draft;
  version: number;
}

/** Keep a draft under its id: as a new configuration, or in place of the version that it was. */
export async function keep(draft: Draft, version: number | null): Promise<Kept> {
  const { data } =
    version === null
      ? await api.POST("/api/configs", { params: BY, body: toDocument(draft) })
      : await api.PUT("/api/configs/{name}", {
          params: { path: { name: draft.id }, query: { replace: true, expects: version } },
          body: toDocument(draft),
        });
  if (data === undefined) throw new Error("the node says nothing of what it kept");
  return { draft: { ...draft, id: data.id }, version: data.version };
}

export async function keepAsTemplate(draft: Draft, id: string, description: string): Promise<void> {
  const { id: _, name, ...config } = toDocument(draft);
  await api.POST("/api/templates", {
    params: BY,
    body: { id, ...(name && { name }), description, config },
  });
}

/** The configuration that a template makes of values for its variables. */
export async function fill(
  template: string,
  variables: Record<string, string | number | boolean>,
): Promise<Draft> {
  const { data } = await api.POST("/api/templates/{name}/use", {
    params: { path: { name: template }, ...BY },
    body: { variables },
  });
  if (data === undefined) throw new Error("the node says nothing");
  return { ...fromDocument(data as ConfigDocument), id: "" };
}

/** A configuration that is kept; a built-in one has no version that could be changed. */
export async function kept(id: string): Promise<{ draft: Draft; version: number | null }> {
  const { data } = await api.GET("/api/configs/{name}", { params: { path: { name: id } } });
  if (data === undefined) throw new Error("the node says nothing");
  return { draft: fromDocument(data), version: data.system ? null : data.version };
}

/** A configuration that is kept, by its id; or one itself. */
export type ByConfiguration = Pick<Schema["BuildBody"], "config_id" | "configuration">;

/** A draft as a build takes it that goes by what nobody kept: under no id. */
export function unkept(draft: Draft): Record<string, unknown> {
  const { id: _, ...configuration } = toDocument(draft);
  return configuration;
}

/** Begin a build; return its id. */
export async function begin(root: string, by: ByConfiguration, profile: string): Promise<string> {
  const { data } = await api.POST("/api/build", {
    body: bodyOf(root, { ...by, ...(profile !== "" && { profile }) }),
  });
  if (data === undefined) throw new Error("the node does not say which build it began");
  return (data as { build_id: string }).build_id;
}

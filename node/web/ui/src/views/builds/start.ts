import { useQueryClient } from "@tanstack/react-query";
import { useLocation } from "wouter";
import { api, type Schema } from "@/api/client";
import { useToasts } from "@/components/toasts";
import { buildCommand, type Choice, type Request } from "@/views/builds/commands";

export type BuildBody = Schema["BuildBody"];

/** The body of a request; what is left out is as a node has it. */
export function bodyOf(root: string, wanted: Partial<Omit<BuildBody, "root">> = {}): BuildBody {
  return {
    root,
    task: "build",
    force: false,
    dry_run: false,
    keep_going: false,
    local_only: false,
    durable: false,
    explain: false,
    retry: 0,
    trace_inputs: false,
    actor: "local",
    detail: "all",
    packages: [],
    ...wanted,
  };
}

/** Returns what starts a build and goes to it; it throws what goes wrong. */
export function useBegin(): (body: BuildBody) => Promise<void> {
  const [, go] = useLocation();
  const client = useQueryClient();
  return async (body) => {
    const { data } = await api.POST("/api/build", { body });
    void client.invalidateQueries({ queryKey: ["get", "/api/builds"] });
    const begun = data as unknown as Schema["BegunBuild"];
    go(`/ui/builds/${begun.build_id}`);
  };
}

/** The same for a button of a view; what goes wrong is told in a corner. */
export function useStart(): (body: BuildBody) => Promise<void> {
  const begin = useBegin();
  const toasts = useToasts();
  return async (body) => {
    try {
      await begin(body);
    } catch (problem) {
      const { config_id: configuration, template, variables, profile } = body;
      const choice = { configuration, template, variables, profile } as Choice;
      toasts.failed(problem, buildCommand({ ...body, choice }, body.root));
    }
  };
}

/** What asks for the same again as an earlier build, or for some of its packages. */
export function again(root: string, request: Request, packages = request.packages): BuildBody {
  const choice = request.choice;
  const template = choice?.template ?? null;
  return bodyOf(root, {
    packages,
    task: request.task,
    force: request.force,
    dry_run: request.dry_run,
    keep_going: request.keep_going,
    local_only: request.local_only,
    config_id: template === null ? (choice?.configuration ?? null) : null,
    template,
    ...(template !== null && { variables: choice?.variables ?? {} }),
    configuration: choice?.unkept ?? null,
    profile: choice?.profile ?? null,
  });
}

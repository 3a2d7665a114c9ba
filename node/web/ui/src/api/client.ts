import createFetchClient, { type Middleware } from "openapi-fetch";
import createQueryClient from "openapi-react-query";
import { Problem } from "@/api/problem";
import type { components, paths } from "@/api/schema";

/** The models that the node's OpenAPI description names: `Schema["PoolView"]`. */
export type Schema = components["schemas"];

/** The keys of a model that are known by name: more may come. */
export type Known<Model> = {
  [Key in keyof Model as string extends Key ? never : Key]: Model[Key];
};

const SAFE = new Set(["GET", "HEAD"]);
let forgeryToken: string | null = null;

/** Whatever changes something carries this token of one's session (see GET /api/session). */
export function setForgeryToken(token: string | null): void {
  forgeryToken = token;
}

/** The headers that a request other than GET takes, for what `api` can't ask for (streams). */
export function changingHeaders(): Record<string, string> {
  return forgeryToken === null ? {} : { "x-buildnet-csrf": forgeryToken };
}

const guard: Middleware = {
  onRequest({ request }) {
    if (!SAFE.has(request.method) && forgeryToken !== null) {
      request.headers.set("x-buildnet-csrf", forgeryToken);
    }
    return request;
  },
  async onResponse({ response }) {
    if (!response.ok) throw await Problem.of(response);
    return response;
  },
};

/** Typed requests: `await api.GET("/api/pool")`. Throws `Problem`. */
export const api = createFetchClient<paths>({ baseUrl: "", credentials: "same-origin" });
api.use(guard);

/** The same as hooks of TanStack Query: `query.useQuery("get", "/api/pool")`. */
export const query = createQueryClient(api);

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api, type Schema, setForgeryToken } from "@/api/client";

export type Session = Schema["OwnSession"];

/** Who is logged in; an error of status 401 where nobody is. */
export function useSession() {
  return useQuery({ queryKey: ["session"], queryFn: look, staleTime: 60_000, retry: false });
}

async function look(): Promise<Session> {
  const { data } = await api.GET("/api/session");
  if (data === undefined) throw new Error("the node does not say who is logged in");
  setForgeryToken(data.csrf);
  return data;
}

/** Whether who is logged in may do this: a name as in GET /api/session, such as `cancel-build`. */
export function useMay(action: string): boolean {
  return useSession().data?.actions.includes(action) ?? false;
}

/** Return what forgets everything that was asked for: who logs in next may see less. */
export function useForgetting(): () => void {
  const client = useQueryClient();
  return () => client.clear();
}

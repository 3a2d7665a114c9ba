import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { query, type Schema, setForgeryToken } from "@/api/client";

export type Session = Schema["OwnSession"];

/** Who is logged in; an error of status 401 where nobody is. */
export function useSession() {
  const found = query.useQuery("get", "/api/session", {}, { staleTime: 60_000, retry: false });
  useEffect(() => setForgeryToken(found.data?.csrf ?? null), [found.data?.csrf]);
  return found;
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

import { Hammer, KeyRound, Server, ShieldCheck } from "lucide-react";
import { type ComponentType, lazy, Suspense, useState } from "react";
import { useSession } from "@/api/session";

const ACTIONS = [
  {
    words: "Build…",
    action: "trigger-build",
    icon: Hammer,
    dialog: lazy(async () => ({
      default: (await import("@/views/builds/build-dialog")).BuildDialog,
    })),
  },
  {
    words: "Invite a node",
    action: "manage-nodes",
    icon: Server,
    dialog: lazy(() => import("@/views/nodes/invite-dialog")),
  },
  {
    words: "Add a key",
    action: "manage-access",
    icon: KeyRound,
    dialog: lazy(() => import("@/views/overview/key-dialog")),
  },
  {
    words: "Verify the ledger",
    action: "modify-resources",
    icon: ShieldCheck,
    dialog: lazy(() => import("@/views/overview/verify-dialog")),
  },
] as const;

/** What people come here to do; only what who is logged in may do. */
export function QuickActions() {
  const actions = useSession().data?.actions ?? [];
  const [open, setOpen] = useState<ComponentType<{ onClose: () => void }> | null>(null);
  const Open = open;
  return (
    <>
      {ACTIONS.filter((one) => actions.includes(one.action)).map(
        ({ words, icon: Icon, dialog }, place) => (
          <button
            key={words}
            type="button"
            className={place === 0 ? "button primary" : "button"}
            onClick={() => setOpen(() => dialog)}
          >
            <Icon aria-hidden size={16} />
            {words}
          </button>
        ),
      )}
      {Open && (
        <Suspense>
          <Open onClose={() => setOpen(null)} />
        </Suspense>
      )}
    </>
  );
}

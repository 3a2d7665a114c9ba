import { LogOut } from "lucide-react";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { type Session, useForgetting } from "@/api/session";
import { useToasts } from "@/components/toasts";
import { Who } from "@/components/who";
import { whoText } from "@/format/who";

/** Who is logged in, with what rights, and the way out. */
export function SessionMenu({ session }: { session: Session }) {
  const [, go] = useLocation();
  const forget = useForgetting();
  const toasts = useToasts();
  const leave = async () => {
    try {
      await api.DELETE("/api/session");
      go("/login");
      forget();
    } catch (problem) {
      toasts.failed(problem);
    }
  };
  return (
    <div className="row whole">
      <span className="small session-name">
        <Who actor={session.actor} />{" "}
        <span className="soft">
          ({session.is_owner ? "owner" : (session.rights ?? "no rights")})
        </span>
      </span>
      <button
        type="button"
        className="button plain icon"
        aria-label="Log out"
        title={`Log out ${whoText(session.actor)}`}
        onClick={leave}
      >
        <LogOut aria-hidden size={18} />
      </button>
    </div>
  );
}

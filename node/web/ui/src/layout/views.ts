import { LayoutDashboard, type LucideIcon } from "lucide-react";
import { type ComponentType, lazy } from "react";

export interface View {
  path: string;
  title: string;
  icon: LucideIcon;
  /** The action that who looks at it has to be allowed (GET /api/session). */
  action: string;
}

/** The views that the side lists, in its order. */
export const VIEWS: readonly View[] = [
  { path: "/", title: "Overview", icon: LayoutDashboard, action: "view-resources" },
];

/** Which component shows which path; each is fetched when it is first looked at. */
export const ROUTES: readonly (readonly [string, ComponentType])[] = [
  ["/", lazy(() => import("@/views/overview/overview"))],
];

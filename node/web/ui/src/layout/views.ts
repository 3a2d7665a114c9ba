import {
  Database,
  Hammer,
  KeyRound,
  LayoutDashboard,
  ListOrdered,
  type LucideIcon,
  Package,
  ScrollText,
  Server,
  Settings,
  SlidersHorizontal,
  Terminal,
  Waypoints,
} from "lucide-react";
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
  { path: "/ui/nodes", title: "Nodes", icon: Server, action: "view-resources" },
  { path: "/ui/topology", title: "Topology", icon: Waypoints, action: "view-resources" },
  { path: "/ui/builds", title: "Builds", icon: Hammer, action: "view-builds" },
  { path: "/ui/packages", title: "Packages", icon: Package, action: "trigger-build" },
  { path: "/ui/builder", title: "Builder", icon: SlidersHorizontal, action: "view-resources" },
  { path: "/ui/queue", title: "Queue", icon: ListOrdered, action: "view-builds" },
  { path: "/ui/cache", title: "Cache", icon: Database, action: "view-builds" },
  { path: "/ui/ledger", title: "Ledger", icon: ScrollText, action: "view-ledger" },
  { path: "/ui/access", title: "Access", icon: KeyRound, action: "view-resources" },
  { path: "/ui/logs", title: "Logs", icon: Terminal, action: "own-node" },
  { path: "/ui/settings", title: "Settings", icon: Settings, action: "own-node" },
];

/** Which component shows which path; each is fetched when it is first looked at. */
export const ROUTES: readonly (readonly [string, ComponentType])[] = [
  ["/", lazy(() => import("@/views/overview/overview"))],
  ["/ui/nodes", lazy(() => import("@/views/nodes/nodes"))],
  ["/ui/nodes/:id", lazy(() => import("@/views/nodes/node"))],
  ["/ui/topology", lazy(() => import("@/views/topology/topology"))],
  ["/ui/builder", lazy(() => import("@/views/builder/builder"))],
  ["/ui/queue", lazy(() => import("@/views/queue/queue"))],
  ["/ui/cache", lazy(() => import("@/views/cache/cache"))],
  ["/ui/ledger", lazy(() => import("@/views/ledger/ledger"))],
  ["/ui/ledger/:id", lazy(() => import("@/views/ledger/entry"))],
  ["/ui/access", lazy(() => import("@/views/access/access"))],
  ["/ui/logs", lazy(() => import("@/views/logs/logs"))],
  ["/ui/settings", lazy(() => import("@/views/settings/settings"))],
  ["/ui/builds", lazy(() => import("@/views/builds/builds"))],
  ["/ui/builds/compare", lazy(() => import("@/views/builds/compare"))],
  ["/ui/builds/trends", lazy(() => import("@/views/builds/trends"))],
  ["/ui/builds/:id", lazy(() => import("@/views/builds/detail"))],
  ["/ui/packages", lazy(() => import("@/views/packages/packages"))],
];

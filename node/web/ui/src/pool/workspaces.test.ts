import { expect, it } from "vitest";
import { workspaceChoices } from "@/pool/workspaces";

it("calls workspaces by their names, and by their directories too where names are alike", () => {
  const known = [
    { name: "shop", root: "/home/ann/shop" },
    { name: "docs", root: "/home/ann/docs" },
    { name: "docs", root: "/srv/docs" },
    { name: null, root: "/srv/unread" },
  ];
  expect(workspaceChoices(known)).toEqual([
    ["/home/ann/shop", "shop"],
    ["/home/ann/docs", "docs (/home/ann/docs)"],
    ["/srv/docs", "docs (/srv/docs)"],
    ["/srv/unread", "/srv/unread"],
  ]);
});
